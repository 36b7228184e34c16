"""Large kernels, worked on in blocks, so that little memory is needed beside them."""

import math

from keras import ops

#: Entries of a block: so many at least, or this part of all.
LEAST, PARTS = 2**13, 64
#: Entries that are no burden at once in a train step.
LARGE = 2**16


def size_of(count):
    """Entries of a block of a tensor of so many."""
    return max(LEAST, count // PARTS)


def slices(length, step):
    """Slices of at most `step`, at least 1, that cover a length."""
    step = max(step, 1)
    return [slice(at, at + step) for at in range(0, length, step)]


def every(length, count, period):
    """A slice that takes about `count` of `length`, out of step with a period."""
    step = max(1, length // count)
    while step > 1 and math.gcd(step, period) > 1:
        step += 1
    return slice(None, None, step)


def joined(parts, axis=0):
    """The parts as one tensor."""
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=axis)


def rows(shape):
    """Slices of the rows of a matrix, each a part of it if it is large."""
    count = shape[0] * shape[1]
    return slices(shape[0], max(LARGE, count // 8) // shape[1])
