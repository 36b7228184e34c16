"""The largest entries of a tensor, and the norms of its blocks."""

import math

import keras
from keras import ops

from tf_admm.constraints.base import wide


def largest(x, k):
    """Mask of the `k` entries of largest magnitude, exactly `k` under ties.

    The `k`-th magnitude is found by bisection on the bit pattern: the patterns
    of non-negative floats are ordered as the floats are, so the threshold is
    built bit by bit from the highest, each time counting what lies above. That
    is one pass over `x` a bit on any backend, several times faster than
    sorting.

    Args:
        x: float tensor of shape `(n,)`.
        k: int in [0, n].

    Returns:
        Boolean tensor of shape `(n,)`. Of equal magnitudes, the first are
        kept. NaN ranks above infinity.
    """
    x = ops.convert_to_tensor(x)
    if k == 0:
        return ops.zeros_like(x, dtype="bool")
    dtype = keras.backend.standardize_dtype(x.dtype)
    integer, top = ("int64", 62) if dtype == "float64" else ("int32", 30)
    x = ops.cast(x, "float64" if dtype == "float64" else "float32")
    magnitude = ops.bitwise_and(
        ops.view(x, dtype=integer), ops.cast(2 ** (top + 1) - 1, integer)
    )
    threshold = ops.zeros((), dtype=integer)
    for bit in reversed(range(top + 1)):
        candidate = threshold + ops.cast(2**bit, integer)
        threshold = ops.where(count(magnitude >= candidate) >= k, candidate, threshold)
    above = magnitude > threshold
    ties = magnitude == threshold
    rank = ops.cumsum(ops.cast(ties, "int32"))
    return ops.logical_or(above, ops.logical_and(ties, rank <= k - count(above)))


def block_norms(w, block):
    """Squared norms of the blocks of `w`, up to one factor for all.

    Args:
        w: float tensor.
        block: tuple, the size of a block along each axis. Where it does not
            divide the axis, the last block is smaller.

    Returns:
        Float tensor, one entry a block. For blocks of one entry the magnitude
        itself, which is ordered as its square is, without rounding.
    """
    if math.prod(block) == 1:
        return ops.abs(w)
    w = unit_scale(w)
    padding = [(0, -size % b) for size, b in zip(w.shape, block)]
    if any(after for _, after in padding):
        w = ops.pad(w, padding)
    inside = tuple(range(1, 2 * len(block), 2))
    split = [n for size, b in zip(w.shape, block) for n in (size // b, b)]
    return ops.sum(ops.square(ops.reshape(w, split)), axis=inside)


def unit_scale(w):
    """`w / max |w|`, since squares of tiny or huge weights are 0.0 or infinity."""
    w = wide(w)
    size = ops.max(ops.abs(w))
    return w / ops.where(size > 0, size, 1)


def spread(values, block, shape):
    """The inverse: each block's value at all of its entries."""
    for axis, b in enumerate(block):
        if b > 1:
            values = ops.repeat(values, b, axis=axis)
    return values[tuple(slice(size) for size in shape)]


def count(mask):
    """Number of `True`."""
    return ops.sum(ops.cast(mask, "int32"))
