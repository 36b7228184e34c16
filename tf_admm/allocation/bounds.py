"""One bound for what each part alone may cost the loss."""

import numpy as np


def even(curves):
    """Each part is pruned as far as its loss alone stays within a bound, one for all.

    Losses don't add up where whole channels go: that of a network which guesses gets no
    worse, so that a sum would take nearly all of one part.

    Args:
        curves: for each part, a list of `(density, loss)` from density 1.0 down.

    Returns:
        Function from a level in [0, 1] to the density of each part; the higher, the
        lower the bound.
    """
    found = []
    for curve in curves:
        at, losses = np.array(curve).T
        # A loss that falls again is the one before; of equal ones the last counts.
        found.append((np.maximum.accumulate(losses), at))
    bounds = np.unique([loss for losses, _ in found for loss in losses])[::-1]

    def densities(t):
        bound = np.interp(t * (len(bounds) - 1), np.arange(len(bounds)), bounds)
        return [float(np.interp(bound, losses, at)) for losses, at in found]

    return densities
