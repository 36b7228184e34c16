"""What a budget comes to for one model."""

#: Relative; of a budget that has been printed.
ROUNDING = 1e-9


class Budget:
    """Nonzeros, bytes or multiplications that may be left.

    A `ratio` is the cost of the whole model over what is left, and `macs` of at most
    1.0 are a share of it.

    Attributes:
        cost: float, the most that may be left.

    Args:
        name: `"ratio"`, `"nonzeros"`, `"bytes"` or `"macs"`.
        value: its value, as given.
        full: the cost of the model with nothing pruned.
    """

    def __init__(self, name, value, full):
        self._name = name
        self._full = full
        self._is_share = name == "macs" and value <= 1.0
        if name == "ratio":
            self.cost = full / value
        else:
            self.cost = full * value if self._is_share else value

    def check(self, least, most, why):
        """Raise if what may be left is not between two costs.

        Args:
            why: a function from whether the budget is too small to what the message
                says of the nearest one.
        """
        # The nearest, as it is printed, can be met.
        if least * (1 - ROUNDING) <= self.cost <= most * (1 + ROUNDING):
            return
        too_small = self.cost < least
        nearest = self._worded(least if too_small else most)
        raise ValueError(
            f"Invalid value for argument `{self._name}`. Expected a budget that can be "
            f"met: the nearest is {self._name}={nearest}, at which {why(too_small)}. "
            f"Received: {self._name}={self._worded(self.cost)}"
        )

    def _worded(self, cost):
        """A cost as the argument says it."""
        if self._name == "ratio":
            return f"{self._full / cost:.12g}"
        return f"{cost / self._full if self._is_share else cost:.12g}"
