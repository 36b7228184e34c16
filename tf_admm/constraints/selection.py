"""The largest entries of a tensor, and the norms of its blocks."""

import math

import keras
from keras import ops

from tf_admm.constraints import counting
from tf_admm.constraints.base import wide

#: Up to so many entries, all are sorted.
SORTED = 2**17


def largest(x, k):
    """Mask of the `k` entries of largest magnitude, exactly `k` under ties.

    Up to `SORTED` entries are sorted. The `k`-th magnitude of more is found by
    counting, several times faster; see `counting`. Both compare bit patterns, since
    those of non-negative floats are ordered as the floats are.

    Args:
        x: float tensor of shape `(n,)`, 0 < n < 2^31.
        k: int, or int32 tensor, in [0, n].

    Returns:
        Boolean tensor of shape `(n,)`. Of equal magnitudes, the first are
        kept. NaN ranks above infinity.
    """
    x = ops.convert_to_tensor(x)
    k = ops.convert_to_tensor(k, dtype="int32")
    return (_by_sorting if x.shape[0] <= SORTED else _by_counting)(x, k)


def bits(x):
    """The bits of floats from 0.0 up, as signed integers in the same order.

    Returns:
        int64 tensor of float64, else int32 tensor.
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    if dtype in ("float16", "bfloat16"):
        return ops.cast(ops.view(x, dtype="int16"), "int32")
    return ops.view(x, dtype="int64" if dtype == "float64" else "int32")


def _nan(dtype):
    """The pattern of the least NaN, which stands for all."""
    return bits(ops.full((), math.inf, dtype=dtype)) + 1


def _magnitudes(x):
    return ops.clip(bits(ops.abs(x)), 0, _nan(x.dtype))


def _by_sorting(x, k):
    patterns = _magnitudes(x)
    size = patterns.shape[0]
    kth = ops.take(ops.sort(patterns), ops.minimum(size - k, size - 1))
    above = patterns > kth
    ties = patterns == kth
    rank = ops.cumsum(ops.cast(ties, "int32"))
    first = ops.logical_and(ties, rank <= k - counting.count(above))
    return ops.logical_or(above, first)


def _by_counting(x, k):
    stored = None if counting.fused() else _magnitudes(x)

    def read():
        return _magnitudes(x) if stored is None else stored

    low, above_low, above_high = counting.kth(read, k, _nan(x.dtype) + 1)

    def with_ties():
        end = counting.end(read() == low, k - above_high)
        first = ops.arange(x.shape[0], dtype="int32") < end
        return ops.where(first, read() >= low, read() > low)

    return ops.cond(above_low == k, lambda: read() >= low, with_ties)


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
    # One name, so that no more than two tensors of this size are held.
    w = ops.square(unit_scale(w))
    padding = [(0, -size % b) for size, b in zip(w.shape, block)]
    if any(after for _, after in padding):
        w = ops.pad(w, padding)
    inside = tuple(range(1, 2 * len(block), 2))
    split = [n for size, b in zip(w.shape, block) for n in (size // b, b)]
    return ops.sum(ops.reshape(w, split), axis=inside)


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
