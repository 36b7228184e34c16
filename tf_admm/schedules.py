"""Schedules of rho, and of what is kept, over the ADMM phase.

A schedule maps `t` in [0, 1], the progress of the ADMM phase, to a number. It is
read when ADMM begins (`t = 0`) and at each update of Z and U. Keras' learning
rate schedules count optimizer steps and know no end, which is why these are
not those.
"""

import math
import numbers
from typing import Any

import keras


class Schedule:
    """Base of the schedules: implement `__call__(t)` and `get_config`."""

    def __call__(self, t):
        """The number at progress `t` in [0, 1]."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `__call__(t)`."
        )

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="tf_admm")
class Constant(Schedule):
    """`rho(t) = rho`, as in the paper.

    Args:
        rho: float, not negative.
    """

    def __init__(self, rho: float):
        self.rho = _number("rho", rho, minimum=0.0)

    def __call__(self, t):
        return self.rho

    def get_config(self):
        return {"rho": self.rho}


@keras.saving.register_keras_serializable(package="tf_admm")
class Geometric(Schedule):
    """`rho(t) = start * (end / start)^t`: the same factor at each update.

    Args:
        start: float, positive, rho at `t = 0`.
        end: float, positive, rho at `t = 1`.
    """

    def __init__(self, start: float, end: float):
        self.start = _number("start", start, minimum=math.ulp(0.0))
        self.end = _number("end", end, minimum=math.ulp(0.0))

    def __call__(self, t):
        return self.start * (self.end / self.start) ** t

    def get_config(self):
        return {"start": self.start, "end": self.end}


@keras.saving.register_keras_serializable(package="tf_admm")
class Cosine(Schedule):
    """`rho(t) = start + (end - start) * (1 - cos(pi t)) / 2`.

    Args:
        start: float, not negative, rho at `t = 0`.
        end: float, not negative, rho at `t = 1`.
    """

    def __init__(self, start: float, end: float):
        self.start = _number("start", start, minimum=0.0)
        self.end = _number("end", end, minimum=0.0)

    def __call__(self, t):
        risen = (1.0 - math.cos(math.pi * t)) / 2.0
        return self.start + (self.end - self.start) * risen

    def get_config(self):
        return {"start": self.start, "end": self.end}


@keras.saving.register_keras_serializable(package="tf_admm")
class Cubic(Schedule):
    """`1 + (start - 1) (1 - t / until)^3` up to `t = until`, then 1.

    What sets keep, over what they are asked to keep: from `start` times as much,
    falling fast and then slowly, as gradual magnitude pruning does.

    Args:
        start: float, at least 1.
        until: float in (0, 1].

    Raises:
        ValueError: if one of them is no such number.

    Example:

    >>> kept = tf_admm.schedules.Cubic(30.0)
    >>> [round(kept(t), 2) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    [30.0, 9.59, 2.07, 1.0, 1.0]

    Reference: Zhu and Gupta, 2017, arXiv:1710.01878.
    """

    def __init__(self, start: float, until: float = 0.75):
        self.start = _number("start", start, minimum=1.0)
        self.until = _number("until", until, minimum=math.ulp(0.0))
        if self.until > 1.0:
            raise ValueError(
                "Invalid value for argument `until`. Expected a number in (0, 1]. "
                f"Received: until={until}"
            )

    def __call__(self, t):
        return 1.0 + (self.start - 1.0) * max(0.0, 1.0 - t / self.until) ** 3

    def get_config(self):
        return {"start": self.start, "until": self.until}


def get(identifier: Any) -> Schedule:
    """A `Schedule` from a `Schedule`, its serialised form, or a number."""
    if isinstance(identifier, Schedule):
        return identifier
    if isinstance(identifier, dict):
        return keras.saving.deserialize_keras_object(identifier)
    return Constant(identifier)


def _number(name, value, minimum):
    if not isinstance(value, numbers.Real) or not minimum <= value < math.inf:
        kind = "positive" if minimum > 0.0 else "non-negative"
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a finite, {kind} "
            f"number or a `tf_admm.schedules.Schedule`. Received: {name}={value}"
        )
    return float(value)
