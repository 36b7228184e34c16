"""NumPy twins of the library, each as dumb as can be."""

import itertools
import math

import numpy as np


def sparsity_naive(w, kept):
    """Keep the `kept` first entries of a sort by (-|w|, index)."""
    flat = np.ravel(w)
    order = sorted(range(flat.size), key=lambda i: (-abs(float(flat[i])), i))
    result = np.zeros_like(flat)
    for i in order[:kept]:
        result[i] = flat[i]
    return result.reshape(np.shape(w))


def kept_naive(sparsity, size):
    return size - round(sparsity * size)


def brute_force_nearest(w, kept):
    """The least squared distance of `w` to a tensor with `kept` nonzeros."""
    flat = np.ravel(w).astype("float64")
    best = math.inf
    for support in itertools.combinations(range(flat.size), kept):
        gone = [flat[i] for i in range(flat.size) if i not in support]
        best = min(best, sum(value * value for value in gone))
    return best


def penalty(w, z, u, rho):
    total = 0.0
    for a, b, c in zip(np.ravel(w), np.ravel(z), np.ravel(u)):
        total += (float(a) - float(b) + float(c)) ** 2
    return rho / 2 * total


def penalty_gradient(w, z, u, rho):
    return rho * (w - z + u)


def residuals(w, z, previous, rho):
    """The four residuals; the tensors of each list make one long vector."""
    w, z, previous = (
        np.concatenate([np.ravel(t).astype("float64") for t in tensors])
        for tensors in (w, z, previous)
    )
    primal = math.sqrt(sum((w - z) ** 2))
    dual = math.sqrt(sum((z - previous) ** 2))
    size_w, size_z = math.sqrt(sum(w**2)), math.sqrt(sum(z**2))
    return primal, rho * dual, primal / max(size_w, size_z), dual / size_z


def geometric(start, end, t):
    return math.exp((1 - t) * math.log(start) + t * math.log(end))


def cosine(start, end, t):
    """Half a period of a cosine from `start` down or up to `end`."""
    middle, swing = (start + end) / 2, (start - end) / 2
    return middle + swing * math.cos(math.pi * t)


def restricted_lstsq(a, b, support):
    """argmin 1/2 ||a w - b||^2 with w zero outside of a boolean `support`."""
    w = np.zeros((a.shape[1], b.shape[1]))
    for j in range(b.shape[1]):
        rows = np.flatnonzero(support[:, j])
        w[rows, j] = np.linalg.lstsq(a[:, rows], b[:, j], rcond=None)[0]
    return w


def dependent_outputs(layer, kernel, x):
    """For each entry of a kernel, which outputs change when it is moved.

    Returns:
        Boolean array of the shape of the kernel, then of the output features:
        all leading axes of the output (batch, positions) are reduced.
    """
    weights = np.array(kernel)
    rank = len(layer.compute_output_shape(x.shape))
    before = np.array(layer(x))
    rows = []
    for index in np.ndindex(*weights.shape):
        moved = weights.copy()
        moved[index] += 1.0
        kernel.assign(moved)
        changed = ~np.isclose(np.array(layer(x)), before, rtol=0, atol=1e-4)
        rows.append(changed)
    kernel.assign(weights)
    assert rows[0].ndim == rank
    return np.reshape(rows, (*weights.shape, *before.shape))


def dependent_inputs(layer, kernel, x):
    """The same, for which entries of `x` an entry of the kernel multiplies."""
    weights = np.array(kernel)
    rows = []
    for index in np.ndindex(*weights.shape):
        alone = np.zeros_like(weights)
        alone[index] = 1.0
        kernel.assign(alone)
        seen = np.zeros(x.shape, dtype=bool)
        for place in np.ndindex(*x.shape):
            spike = np.zeros_like(x)
            spike[place] = 1.0
            seen[place] = np.abs(np.array(layer(spike))).max() > 1e-6
        rows.append(seen)
    kernel.assign(weights)
    return np.reshape(rows, (*weights.shape, *x.shape))
