"""One bound for how much of its rise the loss of each part alone may reach."""

import numpy as np


def even(curves):
    """Each part is pruned to one share of how far its loss alone rises at most.

    Losses don't add up where whole channels go, nor can one bound them all: without
    the last channels a network guesses, at a loss that it has no less of; without the
    first ones it is sure of what is wrong, at a much larger one. A sum, and a bound in
    units of the loss, take nearly all of the last channels.

    Args:
        curves: for each part, a list of `(density, loss)` from density 1.0 down.

    Returns:
        Function from a level in [0, 1] to the density of each part; the higher, the
        lower the share.
    """
    found = []
    for curve in curves:
        at, losses = np.array(curve).T
        # A loss that falls again is the one before; of equal ones the last counts.
        risen = np.maximum.accumulate(losses) - losses[0]
        found.append((risen / (risen[-1] or 1.0), at))
    bounds = np.unique([rise for rises, _ in found for rise in rises])[::-1]

    def densities(t):
        bound = np.interp(t * (len(bounds) - 1), np.arange(len(bounds)), bounds)
        return [float(np.interp(bound, rises, at)) for rises, at in found]

    return densities
