"""How a budget is shared among kernels.

A method maps a level `t` in [0, 1] to the density of each kernel, the fraction of
its units that is kept; no density falls as `t` rises. Which level meets the budget
is not its business.
"""

import math

import numpy as np
from keras import ops

from tf_admm.allocation import hulls
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


def loss(kernels, family, costs, model, data, cache, verbose):
    """Where a unit's worth of the budget lowers the loss most, it is spent first.

    The loss of each kernel projected alone is measured on held-out data.
    """
    items = [sensitivity.OfKernel(kernel, family) for kernel in kernels]
    curves = sensitivity.curves(model, items, family, data, cache, verbose)
    return hulls.spent(
        [(cost(density), value, density) for density, value in curves[item.path]]
        for item, cost in zip(items, costs)
    )


METHODS = {"uniform": uniform, "erk": erk, "magnitude": magnitude, "sensitivity": loss}
