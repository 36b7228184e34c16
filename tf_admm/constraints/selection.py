"""The largest entries of a tensor, and the norms of its blocks."""

import math

import keras
from keras import ops

from tf_admm.constraints.base import wide

#: Entries that are sorted.
SAMPLE = 2**18


def largest(x, k):
    """Mask of the `k` entries of largest magnitude, exactly `k` under ties.

    The `k`-th magnitude is read off a sorted sample; where the sample is not
    everything, it is enclosed between two of the sample's, and the interval is
    narrowed by counting what lies above. The interval is one of bit patterns,
    since those of non-negative floats are ordered as the floats are. About ten
    counts do for millions of weights, several times faster than sorting them, and
    it ends however they are distributed.

    Args:
        x: float tensor of shape `(n,)`.
        k: int in [0, n].

    Returns:
        Boolean tensor of shape `(n,)`. Of equal magnitudes, the first are
        kept. NaN ranks above infinity.
    """
    x = ops.convert_to_tensor(x)
    if k in (0, x.shape[0]):
        return ops.full(x.shape, k > 0, dtype="bool")
    patterns = bits(ops.abs(x))
    low, above_low, above_high = _narrow(patterns, k, *_enclose(patterns, k))

    def with_ties():
        ties = patterns == low
        rank = ops.cumsum(ops.cast(ties, "int32"))
        first = ops.logical_and(ties, rank <= k - above_high)
        return ops.logical_or(patterns > low, first)

    return ops.cond(above_low == k, lambda: patterns >= low, with_ties)


def bits(x):
    """The bits of floats from 0.0 up, as signed integers in the same order."""
    double = keras.backend.standardize_dtype(x.dtype) == "float64"
    x = x if double else ops.cast(x, "float32")
    return ops.view(x, dtype="int64" if double else "int32")


def _enclose(patterns, k):
    """Two patterns, the first at most the k-th largest, the second above it.

    With a sample of everything, it is the first. Else they are six standard
    deviations of its rank in the sample away, and checked.
    """
    size = patterns.shape[0]
    stride = -(-size // SAMPLE)
    sample = ops.sort(patterns[::stride])
    taken = sample.shape[0]
    place, margin = taken - -(-k * taken // size), 0
    if stride > 1:
        share = k / size
        margin = 3 + math.ceil(6 * math.sqrt(taken * share * (1 - share)))
    low = sample[max(place - margin, 0)]
    high = sample[min(place + margin, taken - 1)] + 1
    if stride > 1:
        low = ops.where(_count_above(patterns, low) >= k, low, 0)
        # NaN is above infinity; this is above NaN.
        top = ops.cast(2 ** (63 if patterns.dtype == "int64" else 31) - 1, high.dtype)
        high = ops.where(_count_above(patterns, high) < k, high, top)
    return low, high


def _narrow(patterns, k, low, high):
    """A pattern that `k` are not below, and more than that only under ties.

    Returns:
        `(low, above_low, above_high)`: the pattern, how many are not below it, and
        how many are above it if it is one of several.
    """
    integer = patterns.dtype
    real = "float64" if integer == "int64" else "float32"

    def pivot(i, low, high, above_low, above_high):
        """In turn: the middle, and a little above and below the k-th count."""
        margin = (above_low - above_high) // 32 * (i % 3 - 1)
        gap = ops.cast(above_low - above_high, real)
        share = ops.cast(above_low - k + margin, real) / gap
        share = ops.where(i % 3 == 1, 0.5, ops.clip(share, 0.0, 1.0))
        step = ops.cast(share * ops.cast(high - low, real), integer)
        return low + ops.clip(step, 1, high - low - 1)

    def narrow(i, low, high, above_low, above_high):
        middle = pivot(i, low, high, above_low, above_high)
        above = _count_above(patterns, middle)
        enough = above >= k
        return (
            i + 1,
            ops.where(enough, middle, low),
            ops.where(enough, high, middle),
            ops.where(enough, above, above_low),
            ops.where(enough, above_high, above),
        )

    def is_wide(i, low, high, above_low, above_high):
        return ops.logical_and(high - low > 1, above_low > k)

    start = (
        ops.cast(0, "int32"),
        low,
        high,
        _count_above(patterns, low),
        _count_above(patterns, high),
    )
    _, low, _, above_low, above_high = ops.while_loop(is_wide, narrow, start)
    return low, above_low, above_high


def _count_above(patterns, threshold):
    """How many are not below the threshold.

    Most are counted four bytes at a time, 64 in each byte, since adding up
    booleans as integers takes longer than comparing.
    """
    mask = ops.cast(patterns >= threshold, "int8")
    whole = mask.shape[0] // 256 * 256
    if not whole:
        return count(mask)
    words = ops.view(ops.reshape(mask[:whole], (-1, 4)), dtype="int32")
    bytes_ = ops.view(ops.sum(ops.reshape(words, (-1, 64, 1)), axis=1), dtype="int8")
    return count(bytes_) + count(mask[whole:])


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


def count(mask):
    """Number of `True`."""
    return ops.sum(ops.cast(mask, "int32"))
