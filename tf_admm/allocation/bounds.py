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
    # Of equal losses the lowest density; a loss that falls again is the one before.
    risen = [
        dict(zip(np.maximum.accumulate([loss for _, loss in curve]), densities))
        for curve, densities in ((c, [density for density, _ in c]) for c in curves)
    ]
    bounds = np.unique([loss for found in risen for loss in found])[::-1]

    def densities(t):
        bound = np.interp(t * (len(bounds) - 1), np.arange(len(bounds)), bounds)
        return [
            float(np.interp(bound, list(found), list(found.values())))
            for found in risen
        ]

    return densities
