"""How a budget is shared among kernels.

A method maps a level `t` in [0, 1] to the density of each kernel, the fraction of
its units that is kept; no density falls as `t` rises. Which level meets the budget
is not its business.
"""

import math

import numpy as np
from keras import ops

from tf_admm.allocation import sensitivity


def uniform(kernels, family, costs, **_):
    """The same density everywhere."""
    return lambda t: [t] * len(kernels)


def erk(kernels, family, costs, **_):
    """Erdos-Renyi-kernel: density in proportion to `sum(shape) / prod(shape)`.

    Small kernels are kept denser. Reference: Evci et al., 2020, arXiv:1911.11134.
    """
    raw = [sum(kernel.shape) / math.prod(kernel.shape) for kernel in kernels]
    # At t = 1 the sparsest kernel is dense, too.
    return lambda t: [min(1.0, t * r / min(raw)) for r in raw]


def magnitude(kernels, family, costs, **_):
    """One threshold for the magnitudes of all units, per weight of a unit."""
    scores = []
    for kernel in kernels:
        w = ops.convert_to_tensor(kernel.canonical(kernel.variable))
        # Norms come up to a factor of their kernel's own.
        norms = np.ravel(ops.convert_to_numpy(family(0.0).scores(w))).astype("float64")
        if norms.size < kernel.size:
            norms = np.sqrt(norms * norms.size / kernel.size)
            norms *= float(ops.max(ops.abs(w)))
        scores.append(np.sort(norms))
    together = np.sort(np.concatenate(scores))[::-1]

    def densities(t):
        below = together[min(int(t * together.size), together.size - 1)]
        if t >= 1.0:
            return [1.0] * len(scores)
        return [1 - np.searchsorted(s, below, side="right") / s.size for s in scores]

    return densities


def loss(kernels, family, costs, model, data, cache):
    """Where a unit's worth of the budget lowers the loss most, it is spent first.

    The loss of each kernel projected alone is measured on held-out data; its
    lower convex hull over the cost says what a kernel's next units are worth. The
    level goes through these worths, from the highest.
    """
    curves = sensitivity.curves(model, kernels, family, data, cache)
    hulls = [
        _hull([(cost(density), value, density) for density, value in curves[k.path]])
        for k, cost in zip(kernels, costs)
    ]
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


METHODS = {"uniform": uniform, "erk": erk, "magnitude": magnitude, "sensitivity": loss}
