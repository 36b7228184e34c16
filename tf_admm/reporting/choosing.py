"""Which of the files to ship."""

import math

from tf_admm import arguments
from tf_admm.reporting import direction


def check_max_drop(max_drop):
    """Raise unless it is a number from 0.0 on.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is below 0.0, or not finite.
    """
    if not arguments.is_real(max_drop):
        raise TypeError(
            "Expected `max_drop` to be a number. Received: "
            f"max_drop={max_drop!r} of type {type(max_drop)}"
        )
    if not 0.0 <= max_drop < math.inf:
        raise ValueError(
            f"Expected `max_drop` to be 0.0 or more. Received: max_drop={max_drop}"
        )


def choice(variants, best, max_drop, least_speed=0.0):
    """The smallest file in bytes that is good enough; the dense one is the first.

    Where no metric was measured, the smallest of float weights: int8 changes outputs.
    """
    dense, *others = variants
    good = [
        other
        for other in others
        if other.is_candidate
        and other.speedup >= least_speed
        and is_good(other, dense, best, max_drop)
    ]
    return min([dense, *good], key=lambda variant: variant.bytes)


def is_good(variant, dense, best, max_drop):
    """Whether the metric is at most so much worse than that of the dense file."""
    if dense.metric is None:
        return variant.dtype != "int8"
    drop = direction.drop(variant.metric, dense.metric, best)
    return (drop if best else abs(drop)) <= max_drop
