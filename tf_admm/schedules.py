"""Schedules of rho, and of what is kept, over the ADMM phase.

A schedule maps `t` in [0, 1], the progress of the ADMM phase, to a number. It is
read when ADMM begins (`t = 0`) and at each update of Z and U. Keras' learning
rate schedules count optimizer steps and know no end, which is why these are
not those.
"""

import dataclasses
import math
from typing import Any

import keras

from tf_admm import arguments


@dataclasses.dataclass(frozen=True)
class Found:
    """What an update of Z and U found, for schedules that go by it.

    Attributes:
        primal: float, `||W - Z|| / max(||W||, ||Z||)`.
        dual: float, `||Z - Z_old|| / ||Z||`.
        changed: float, the share of what is kept that was exchanged.
        followed: bool, whether W had come half of the way to Z - U.
        pull: float, the root mean square of the norm of the task's gradient over
            `||W||`: that rho at which a penalty on all of W pulls as hard. 0.0 where it
            was not measured.
        most: float, the rho beyond which steps of gradient descent at the learning
            rate of the optimizer would go further than to Z.
        kept: float, what the sets kept, over what they are asked to keep as ADMM ends.
    """

    primal: float
    dual: float
    changed: float
    followed: bool
    pull: float
    most: float
    kept: float


class Schedule:
    """Base of the schedules: implement `__call__(t)` and `get_config`."""

    #: Whether `update` looks at the pull, for which gradients are measured.
    measures = False

    def __call__(self, t):
        """The number at progress `t` in [0, 1]."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `__call__(t)`."
        )

    def update(self, t, rho, found):
        """rho after an update of Z and U at progress `t`.

        Args:
            t: float in [0, 1].
            rho: float, rho in force.
            found: the `Found` of this update.
        """
        return self(t)

    def again(self, rho):
        """rho as a later round begins, after a round that ended with `rho`."""
        return self(0.0)

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
class Balanced(Schedule):
    """rho from the first steps, then by the residuals; `rho="auto"` of `ADMMModel`.

    Up to the first update there is no pull, and the gradient of the task is measured.
    Then rho is `share` times the one that would pull as hard as the task does, whatever
    the units of the loss and of the weights. From then on, it grows by `factor` at each
    update before which W has not come half of the way to Z - U, at which more than a
    tenth of what is kept was exchanged, or where `||W - Z||` is more than `imbalance`
    times the way of Z, both relative; and shrinks by it where the way of Z is as much
    the longer. It does not shrink while the sets keep more than they will: W lies in a
    set that is loose enough, which says nothing of the one to come. It stays below the
    curvature that one step of gradient descent levels, momentum and all.

    Args:
        share: float, positive.
        factor: float, at least 1.
        imbalance: float, at least 1.

    Raises:
        ValueError: if one of them is no such number.

    References: Boyd et al., 2011, doi:10.1561/2200000016, section 3.4.1; Wohlberg,
    2017, arXiv:1704.06209 (relative residuals).
    """

    measures = True

    def __init__(
        self, share: float = 10.0, factor: float = 2.0, imbalance: float = 10.0
    ):
        self.share = _number("share", share, minimum=math.ulp(0.0))
        self.factor = _number("factor", factor, minimum=1.0)
        self.imbalance = _number("imbalance", imbalance, minimum=1.0)

    def __call__(self, t):
        return 0.0

    def update(self, t, rho, found):
        if rho == 0.0:
            return min(self.share * found.pull, found.most)
        is_weak = not found.followed or found.changed > 0.1
        if is_weak or found.primal > self.imbalance * found.dual:
            return min(rho * self.factor, found.most)
        if found.kept == 1.0 and found.dual > self.imbalance * found.primal:
            rho /= self.factor
        return min(rho, found.most)

    def again(self, rho):
        return rho

    def get_config(self):
        return {
            "share": self.share,
            "factor": self.factor,
            "imbalance": self.imbalance,
        }


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
    """A `Schedule` from a `Schedule`, its serialised form, `"auto"`, or a number."""
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, Schedule):
        return identifier
    return Balanced() if identifier == "auto" else Constant(identifier)


def checked(schedule: Schedule, rho: Any) -> float:
    """What a schedule of rho gave, as a float.

    Raises:
        ValueError: if it is negative or not finite.
    """
    value = float(rho)
    if not 0.0 <= value < math.inf:
        raise ValueError(
            "Expected a schedule that gives finite, non-negative numbers as `rho`. "
            f"Received: {value} from {type(schedule).__name__}"
        )
    return value


def _number(name, value, minimum):
    if not arguments.is_real(value) or not minimum <= value < math.inf:
        kind = "positive" if minimum > 0.0 else "non-negative"
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a finite, {kind} "
            f"number, or a `tf_admm.schedules.Schedule`. Received: {name}={value!r}"
        )
    return float(value)
