"""How good a model is on the validation data, and how much worse than the dense one."""

import math

from tf_admm.compression import batches
from tf_admm.reporting import direction
from tf_admm.reporting import judging
from tf_admm.reporting import words

MODES = ("auto", "min", "max")


class Objective:
    """The metric that a run is judged by.

    Args:
        model: the dense model, compiled.
        data: what `evaluate` takes.
        metric: the name of a compiled metric, `"loss"`, or `None` for the first.
        mode: `"auto"`, or which of it is better, `"min"` or `"max"`.

    Attributes:
        name: of the metric.
        better: `"min"` or `"max"`.
        dense: its value for the dense model.
        others: names of the other metrics of outputs, which nothing is judged by.

    Raises:
        ValueError: if Keras can't evaluate the model, or there is no such metric, or
            Keras does not know which of it is better.
    """

    def __init__(self, model, data, metric, mode):
        if mode not in MODES:
            raise ValueError(
                f"Invalid value for argument `mode`. Expected one of {MODES}. "
                f"Received: mode={mode!r}"
            )
        self._data = data
        try:
            logs = evaluated(model, data)
        except Exception as error:  # noqa: BLE001, whatever does not fit Keras
            raise ValueError(
                "Expected data on which Keras can evaluate the model "
                f"'{model.name}'. Received: data with which it fails: {error}"
            ) from error
        if metric is not None and metric not in logs:
            raise ValueError(
                "Expected `metric` to be one that the model is compiled with: "
                f"{sorted(logs)}. Received: metric={metric!r}"
            )
        self.name = metric or judging.first(model, logs)[0]
        self.better = direction.better(model, self.name, mode)
        if self.better is None:
            raise ValueError(
                "Expected `mode='max'` or `mode='min'`, since Keras does not know "
                f"which of the metric '{self.name}' is better. Received: mode={mode!r}"
            )
        self.dense = self._finite(logs)
        self.others = [n for n in logs if n != self.name and not n.endswith("loss")]

    def _finite(self, logs):
        value = float(logs[self.name])
        if value != value:
            raise ValueError(
                f"Expected data on which the metric '{self.name}' of the model is a "
                f"number. Received: data on which it is {value}"
            )
        return value

    def value(self, model):
        """The metric of a compiled model."""
        return float(evaluated(model, self._data)[self.name])

    def drop(self, value):
        """How much worse than the dense model's, as `direction.drop` has it."""
        return direction.drop(value, self.dense, self.better)

    @property
    def error(self):
        """The standard error of a share of arrays' rows; 0.0 of what is none."""
        if not isinstance(self._data, tuple) or not words.is_share(self.name):
            return 0.0
        share = min(max(self.dense, 0.0), 1.0)
        return math.sqrt(share * (1.0 - share) / batches.rows(self._data))

    def bound(self, drop):
        """The value that is so much worse than the dense model's."""
        if self.better == "max":
            return self.dense - drop
        return self.dense + drop * abs(self.dense)


def evaluated(model, data):
    """What `evaluate` says, as a dict."""
    given = {"x": data}
    if isinstance(data, tuple):
        given = dict(zip(("x", "y", "sample_weight"), data))
    return model.evaluate(**given, verbose=0, return_dict=True)
