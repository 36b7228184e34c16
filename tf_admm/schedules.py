"""Schedules of rho over the ADMM phase.

A schedule maps `t` in [0, 1], the progress of the ADMM phase, to rho. It is
read when ADMM begins (`t = 0`) and at each update of Z and U. Keras' learning
rate schedules count optimizer steps and know no end, which is why these are
not those.
"""

import math
import numbers
from typing import Any

import keras


class Schedule:
    """Base of the rho schedules: implement `__call__(t)` and `get_config`."""

    def __call__(self, t):
        """rho at progress `t` in [0, 1]."""
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
