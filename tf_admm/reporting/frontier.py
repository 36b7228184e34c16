"""What a search found: how good the model is at each size."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Point:
    """A model that was tried.

    Attributes:
        name: what it is.
        size: the share of weights or multiplications that is left, in (0, 1].
        metric: its value on the data of the search.
        meets: whether it is within what was asked for.
        why: why not, where it is not the metric.

    Raises:
        ValueError: if `size` is not in (0, 1].
    """

    name: str
    size: float
    metric: float
    meets: bool
    why: str = ""

    def __post_init__(self):
        if not 0.0 < self.size <= 1.0:
            raise ValueError(
                "Expected `size` to be a share above 0.0, and 1.0 at most. Received: "
                f"size={self.size} of the point '{self.name}'"
            )
