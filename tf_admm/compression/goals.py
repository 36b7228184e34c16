"""What is asked of a run: how good, how small, or how fast the result must be."""

import dataclasses
import math

from tf_admm import arguments

#: What is asked where nothing is.
MAX_DROP = 0.005
#: Goals that whole channels are pruned for.
OF_CHANNELS = ("macs", "speed")


@dataclasses.dataclass(frozen=True)
class Goal:
    """One of `max_drop`, `ratio`, `bytes`, `macs`, `speed`, and its value.

    Attributes:
        name: which.
        value: float.
    """

    name: str
    value: float

    def __str__(self):
        return f"{self.name}={self.value:g}"

    @property
    def is_searched(self):
        """Whether the size is found by training and judging."""
        return self.name == "max_drop"

    @property
    def is_measured(self):
        """Whether the size is found by making files."""
        return self.name in ("bytes", "speed")

    @property
    def structure(self):
        if self.is_searched:
            return "both"
        return "channels" if self.name in OF_CHANNELS else "weights"

    def share(self, macs):
        """The share that a `ratio`, or a number or share of `macs`, comes to."""
        if self.name == "ratio":
            return 1.0 / self.value
        return self.value if self.value <= 1.0 else self.value / macs

    def is_met(self, variant):
        """Whether a measured file is as small or as fast as was asked."""
        if self.name == "bytes":
            return variant.bytes <= self.value
        return self.name != "speed" or variant.speedup >= self.value


def of(**given):
    """The goal that was given.

    Raises:
        TypeError: if a value is no number.
        ValueError: if several are given, or a value is out of its range.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) > 1:
        raise ValueError(
            "Expected one of `max_drop`, `ratio`, `bytes`, `macs` and `speed`. "
            f"Received: {given}"
        )
    ((name, value),) = (given or {"max_drop": MAX_DROP}).items()
    if not arguments.is_real(value):
        raise TypeError(
            f"Expected `{name}` to be a number. Received: {name}={value!r} of type "
            f"{type(value)}"
        )
    if not math.isfinite(value) or not _is_in_range(name, value):
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected {RANGES[name]}. Received: "
            f"{name}={value}"
        )
    return Goal(name, float(value))


RANGES = {
    "max_drop": "0.0 or more",
    "ratio": "1.0 or more, weights over weights kept",
    "bytes": "a positive number, of the file",
    "macs": "a positive number, of multiplications, or their share if at most 1.0",
    "speed": "1.0 or more, times as fast as the dense file",
}


def _is_in_range(name, value):
    if name == "max_drop":
        return value >= 0.0
    return value >= 1.0 if name in ("ratio", "speed") else value > 0.0
