"""What the next units of each part are worth, from the losses without them."""

import math


def spent(curves):
    """Where a unit's worth of the budget lowers the loss most, it is spent first.

    The lower convex hull of a part's losses over its cost says what its next units
    are worth; the level goes through these worths, from the highest.

    Args:
        curves: for each part, a list of `(cost, loss, density)`.

    Returns:
        Function from a level in [0, 1] to the density of each part.
    """
    hulls = [_hull(points) for points in curves]
    gains = sorted({gain for hull in hulls for gain, _ in hull}, reverse=True)

    def densities(t):
        least = [math.inf, *gains][round(t * len(gains))]
        return [
            max((density for gain, density in hull if gain >= least), default=0.0)
            for hull in hulls
        ]

    return densities


def _hull(points):
    """The segments of the lower convex hull, from the left.

    Args:
        points: list of `(cost, loss, density)`.

    Returns:
        List of `(gain, density)`: how much a segment lowers the loss per unit of
        cost, never rising, and the density at its end.
    """
    hull = []
    for point in sorted(points):
        while len(hull) > 1 and _gain(hull[-1], point) >= _gain(hull[-2], hull[-1]):
            hull.pop()
        hull.append(point)
    return [(max(0.0, _gain(a, b)), b[2]) for a, b in zip(hull, hull[1:])]


def _gain(a, b):
    return (a[1] - b[1]) / max(b[0] - a[0], 1e-12)
