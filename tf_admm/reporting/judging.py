"""How good the outputs of a file are: by any metric that Keras knows, or a function."""

import collections.abc
import contextlib

import keras
import numpy as np

from tf_admm.structure.precision import float32_compute

#: Rows that a model is run on at once.
ROWS = 32


class Judge:
    """What the outputs on some data are worth.

    Keras goes through the data and computes the metric: with the model's own
    `evaluate`, or that of a stand-in which has the metric; but what they are called
    on is answered by something else, such as a file.

    Args:
        model: a Keras model, which is run on all of the data at first, so that what
            does not fit shows.
        data: what its `evaluate` takes: `(x, y)`, `(x, y, sample_weight)`, or a
            dataset that can be gone through more than once.
        metric: as in `report`.
        batch: rows that the model insists on, or `None`.

    Attributes:
        name: of the metric.
        rows: inputs of the first batch, in the model's structure.
        outputs: the structure of the outputs.

    Raises:
        TypeError: if `data` or `metric` is of another kind.
        ValueError: if Keras can't evaluate the model on them.
    """

    def __init__(self, model, data, metric, batch=None):
        _check(data)
        self._stand_in = _stand_in(model, data, metric)
        self._data, self._batch = data, batch or ROWS
        self.name = self.rows = self.outputs = None
        call = model.call if self._stand_in is model else model

        def run(inputs):
            outputs = call(inputs, training=False)
            if self.rows is None:
                self.rows = keras.tree.map_structure(np.array, inputs)
                self.outputs = keras.tree.map_structure(lambda _: 0, outputs)
            return outputs

        with float32_compute(model):
            self.value(run)
        if self.rows is None:
            raise ValueError(
                "Expected data with rows, and a model whose `test_step` calls it. "
                f"Received: data of type {type(data)}, on which the model "
                f"'{model.name}' was not called"
            )

    def value(self, run):
        """The metric, as a float, of the outputs that `run` gives for inputs.

        Args:
            run: function from a batch of inputs to outputs, in the structures of the
                model's.
        """
        keys = ("x", "y", "sample_weight")
        given = {"x": self._data, "batch_size": None}
        if isinstance(self._data, (tuple, list)):
            given = dict(zip(keys, self._data), batch_size=self._batch)
        model = self._stand_in
        try:
            with _answered(model, run):
                logs = model.evaluate(**given, verbose=0, return_dict=True)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ValueError(
                "Expected `data` and `metric` that Keras can evaluate the model on. "
                f"Received: data of type {type(self._data)}: {error}"
            ) from error
        self.name, value = model.judged(logs) if model.judges else _first(model, logs)
        return float(value)
