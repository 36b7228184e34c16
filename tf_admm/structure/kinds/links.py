"""How weights and tensors share channels."""

import dataclasses
from typing import Any

import numpy as np

#: What a link's entries are to the channels of its tensor.
MAKES, READS, RIDES = "makes", "reads", "rides"


@dataclasses.dataclass(frozen=True)
class Link:
    """Which entries of a weight belong to each channel of a tensor.

    Attributes:
        role: `MAKES`, if the channel is 0.0 where all of its entries are, in all
            links that make it; `READS`, if the entries multiply it; `RIDES` for
            statistics, which go where the channel goes.
        variable: the weight.
        axis: the axis of the weight that is indexed.
        tensor: the tensor.
        index: int array `(channels, entries)`.
        stays: whether the weight keeps its size when channels go.
    """

    role: str
    variable: Any
    axis: int
    tensor: Any
    index: np.ndarray
    stays: bool = False


@dataclasses.dataclass(frozen=True)
class Tie:
    """Channels `i[k]` of `x` and `j[k]` of `y` live and die together."""

    x: Any
    i: np.ndarray
    y: Any
    j: np.ndarray
