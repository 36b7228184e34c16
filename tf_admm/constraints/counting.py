"""The k-th largest of more integers than are worth sorting, by counting.

It is enclosed between two values, `low` and `high`, of which it is known how many
entries are not below them: at least `k`, and fewer. Counts above pivots between them
bring them together. The first pivots are of a sorted sample; the others are placed
where the k-th would be if the entries were spread evenly from `low` to `high`, and
some at fixed shares, which bounds the number of passes however they are spread.
"""

import dataclasses
import math

import keras
from keras import ops

#: Entries of the sample.
SAMPLE = 2**15


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which pivots are counted.

    Attributes:
        sampled: ranks of the first pivots in the sample, to both sides of the k-th, in
            standard deviations.
        near: distances of the other pivots from where the k-th is expected, to both
            sides, in square roots of the number of entries in between.
        shares: pivots besides, as shares of the way from `low` to `high`.
        passes: how many passes are made in any case; 0 to count one pivot at a time,
            in turn, as long as there is need.
    """

    sampled: tuple
    near: tuple
    shares: tuple
    passes: int


#: Four pivots a pass: more of them make a pass longer than they make passes fewer. As
#: many passes as do for nearly all are no loop, which has to ask at each turn.
MANY = Plan(sampled=(0.7, 4.0), near=(0.6,), shares=(0.5,), passes=4)
#: Each pivot takes a pass: about ten.
ONE = Plan(sampled=(4.0,), near=(0.3,), shares=(0.5,), passes=0)


def fused():
    """Whether XLA reads a tensor once for what is asked of it many times.

    On GPUs and TPUs. For CPUs it stores all that it adds up.
    """
    if keras.config.backend() != "jax":
        return False
    return not keras.distribution.list_devices()[0].startswith("cpu")


def kth(read, k, top):
    """A value that `k` entries are not below, and more than that only under ties.

    Args:
        read: function to the entries, an int tensor of shape `(n,)`, from 0 up.
        k: int32 tensor in [0, n].
        top: scalar of their dtype, more than all of them.

    Returns:
        `(low, above_low, above_high)`: the value, how many are not below it, and how
        many are above it if it is one of several.
    """
    plan = MANY if fused() else ONE
    size = read().shape[0]
    found = (ops.zeros_like(top), top, *map(_int32, (size, 0)))
    found = _closer(read(), k, _sampled(read(), k, plan.sampled), found)
    for _ in range(plan.passes):
        found = _closer(read(), k, _between(k, plan, found), found)
    if plan.passes:
        # What a loop reads is stored before it, also where it has no turns.
        found = ops.cond(
            _is_wide(k, found), lambda: _loop(read, k, plan, found), lambda: found
        )
    else:
        found = _loop(read, k, plan, found)
    low, _, above_low, above_high = found
    return low, above_low, above_high


def end(mask, room):
    """Up to which place `room` are `True`, by the counts of rows of about sqrt(n).

    Running counts of all take several times longer.

    Args:
        mask: boolean tensor of shape `(n,)`, at least `room` of them `True`.
        room: int32 tensor.

    Returns:
        int32 tensor: the number of places.
    """
    size = mask.shape[0]
    columns = 2 ** math.ceil(math.log2(size) / 2)
    mask = ops.pad(ops.cast(mask, "int8"), [(0, -size % columns)])
    rows = ops.reshape(mask, (-1, columns))
    running = ops.cumsum(ops.sum(ops.cast(rows, "int32"), axis=1))
    whole = running < room
    row = count(whole)
    room = room - ops.max(ops.where(whole, running, 0))
    inside = ops.cumsum(ops.cast(ops.take(rows, row, axis=0), "int32"))
    return row * columns + count(inside <= room)


def count(mask):
    """Number of `True`."""
    return ops.sum(ops.cast(mask, "int32"))


def _sampled(entries, k, sides):
    """Pivots of a sample; and what is above its least, often many zeros."""
    size = entries.shape[0]
    sample = ops.sort(entries[:: -(-size // SAMPLE)])
    taken = sample.shape[0]
    share = ops.cast(k, "float32") / size
    deviation = ops.sqrt(taken * share * (1 - share)) + 0.5
    sides = ops.convert_to_tensor([s * side for side in sides for s in (-1, 1)])
    place = ops.floor(taken * (1 - share) + sides * deviation)
    place = ops.cast(ops.clip(place, 0, taken - 1), "int32")
    # One more on the side above, so that of many equal ones none is left between.
    pivots = ops.take(sample, place) + ops.cast(sides > 0, sample.dtype)
    return ops.concatenate([pivots, sample[:1] + 1])


def _between(k, plan, found):
    """All pivots of a pass, in no order, from `low + 1` to `high - 1`.

    By no `ops.minimum`, which makes int32 of int64 in torch.
    """
    low, high, above_low, above_high = found
    double = keras.backend.standardize_dtype(low.dtype) == "int64"
    real = "float64" if double else "float32"
    gap = ops.cast(ops.maximum(above_low - above_high, 1), real)
    width = ops.cast(high - low, real)
    expected = ops.cast(above_low - k, real) / gap * width
    unit = width / ops.sqrt(gap)
    steps = [expected]
    for least, distance in enumerate(plan.near, 1):
        away = ops.clip(distance * unit, least, width)
        steps += [expected - away, expected + away]
    steps = ops.stack(steps + [share * width for share in plan.shares])
    steps = ops.cast(ops.clip(steps, 0, width), low.dtype)
    return ops.clip(low + steps, low + 1, high - 1)


def _closer(entries, k, pivots, found):
    """`low` and `high` after a pass, with their counts."""
    low, high, above_low, above_high = found
    count_above = _count_fused if fused() else _count_bytes
    above = ops.stack([count_above(entries, pivot) for pivot in ops.unstack(pivots)])
    enough = above >= k
    return (
        ops.max(ops.where(enough, pivots, low)),
        ops.min(ops.where(enough, high, pivots)),
        ops.min(ops.where(enough, above, above_low)),
        ops.max(ops.where(enough, above_high, above)),
    )


def _loop(read, k, plan, found):
    def narrow(i, *found):
        pivots = _between(k, plan, found)
        if not plan.passes:
            pivots = ops.take(pivots, ops.reshape(i % pivots.shape[0], (1,)))
        return i + 1, *_closer(read(), k, pivots, found)

    start = (_int32(0), *found)
    return tuple(ops.while_loop(lambda i, *f: _is_wide(k, f), narrow, start)[1:])


def _is_wide(k, found):
    low, high, above_low, _ = found
    return ops.logical_and(high - low > 1, above_low > k)


def _count_fused(entries, threshold):
    """How many are not below the threshold."""
    return count(entries >= threshold)


def _count_bytes(entries, threshold):
    """The same, four bytes at a time, 64 in each byte.

    Where it isn't fused, adding up booleans as integers takes longer than comparing.
    """
    mask = ops.cast(entries >= threshold, "int8")
    whole = mask.shape[0] // 256 * 256
    if not whole:
        return count(mask)
    words = ops.view(ops.reshape(mask[:whole], (-1, 4)), dtype="int32")
    bytes_ = ops.view(ops.sum(ops.reshape(words, (-1, 64, 1)), axis=1), dtype="int8")
    return count(bytes_) + count(mask[whole:])


def _int32(value):
    return ops.convert_to_tensor(value, dtype="int32")
