"""How good the outputs of a file are: by any metric that Keras knows, or a function."""

import collections.abc
import contextlib
import warnings

import keras
import numpy as np

from tf_admm.export.tflite import states
from tf_admm.reporting import direction
from tf_admm.structure import copying
from tf_admm.structure.precision import float32_compute

#: Rows that go through a model at once.
ROWS = 32


class Judge:
    """What outputs on some data are worth.

    Keras goes through the data and computes the metric: by the model's own
    `evaluate`, or by that of a stand-in which has the metric. What either is called
    on is answered by something else, such as a file.

    Args:
        model: a Keras model. It answers first, on all of the data, so that whatever
            does not fit shows at once.
        data: what `evaluate` takes: `(x, y)`, `(x, y, sample_weight)`, or a dataset
            that can be gone through more than once.
        metric: as in `report`.
        batch: rows that the model insists on, or `None`.

    Attributes:
        name: of the metric.
        better: `"max"` or `"min"`, whichever of it is better; `None` if not known.
        rows: inputs of the first batch, as the model was called on them.
        outputs: zeros in the structure of the model's outputs.

    Raises:
        TypeError: if `data` or `metric` is of another kind.
        ValueError: if Keras can't evaluate the model on them.
    """

    def __init__(self, model, data, metric, batch=None):
        _check_data(data)
        self._data, self._batch = data, batch or ROWS
        self._model, self._read = _chosen(model, metric)
        self.name = self.rows = self.outputs = None
        # A model whose `call` is replaced must not answer by that.
        self._answer = model.call if self._model is model else model

        def run(inputs):
            outputs = self._answer(inputs, training=False)
            if self.rows is None:
                self.rows = _numpy(inputs)
                self.outputs = keras.tree.map_structure(lambda _: 0, outputs)
            return outputs

        try:
            with states.fresh(model):
                self.value(run)
        except Exception as error:  # noqa: BLE001, whatever does not fit Keras
            raise ValueError(
                "Expected `data` and `metric` on which Keras can evaluate the model "
                f"'{model.name}'. Received: data of type {type(data)}, with which it "
                f"fails: {error}"
            ) from error
        if self.rows is None:
            raise ValueError(
                "Expected `data` with rows, and a model whose `test_step` calls it. "
                f"Received: data of type {type(data)}, on which the model "
                f"'{model.name}' was never called"
            )
        # Without either, it is `accuracy` that is measured.
        mode = "max" if metric is None and not model.compiled else "auto"
        self.better = direction.better(self._model, self.name, mode)

    def value(self, run):
        """The metric of what `run` makes of batches of inputs, as a float."""
        given = {"x": self._data}
        if isinstance(self._data, (tuple, list)):
            given = dict(zip(("x", "y", "sample_weight"), self._data))
            given["batch_size"] = self._batch
        with (
            float32_compute(self._model),
            _kept(self._model),
            _answered(self._model, run, self._answer),
            warnings.catch_warnings(),
        ):
            # Of every dataset whose length is not known.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            logs = self._model.evaluate(**given, verbose=0, return_dict=True)
            self.name, value = self._read(logs)
        return float(value)


@contextlib.contextmanager
def _kept(model):
    """Put back, if an error stops Keras, the variables that it takes out on JAX."""
    before = [(variable, variable.value) for variable in model.variables]
    try:
        yield
    except BaseException:
        for variable, value in before:
            variable.assign(value)
        raise


@contextlib.contextmanager
def _answered(model, run, shapes):
    """Let `run` answer, step by step, what the model is called on.

    Where Keras asks for shapes only, before the first step, `shapes` answers.
    """
    before = model.run_eagerly, model.test_function

    def call(inputs, *args, **kwargs):
        return run(inputs) if _has_values(inputs) else shapes(inputs, training=False)

    model.call = call
    model.run_eagerly, model.test_function = True, None
    try:
        yield
    finally:
        del model.call
        model.run_eagerly, model.test_function = before


def _has_values(tensors):
    try:
        _numpy(tensors)
    except Exception:  # noqa: BLE001, each backend has another for this
        return False
    return True


def _numpy(tensors):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, tensors)


class _StandIn(keras.Model):
    """Is evaluated in place of a model that has no such metric."""

    def call(self, inputs, training=None):
        raise NotImplementedError("A file must answer in its place.")

    def compute_loss(self, *args, **kwargs):
        return keras.ops.zeros(())


class _Collecting(_StandIn):
    """Keeps labels and outputs, for a function of all of them."""

    def __init__(self):
        super().__init__()
        self._seen = []

    def reset_metrics(self):
        super().reset_metrics()
        self._seen = []

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if _has_values((y, y_pred)):
            self._seen.append(_numpy((y, y_pred)))
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def seen(self):
        """Labels and outputs, whole."""
        return keras.tree.map_structure(lambda *x: np.concatenate(x), *self._seen)


def _chosen(model, metric):
    """What is evaluated, and a function from its logs to a name and a value."""
    if metric is None and model.compiled:
        return model, lambda logs: first(model, logs)
    if _has(model, metric):
        return model, lambda logs: (metric, logs[metric])
    function = accuracy if metric is None else metric
    if not callable(function) or isinstance(function, keras.metrics.Metric):
        return _compiled(model, metric)
    collecting = _Collecting()
    collecting.compile(run_eagerly=True)
    name = getattr(function, "__name__", type(function).__name__)
    return collecting, lambda logs: (name, function(*collecting.seen()))


def _has(model, metric):
    """Whether the model was compiled with a metric of this name, and evaluated."""
    if not model.compiled or not isinstance(metric, str):
        return False
    try:
        return metric in model.get_metrics_result()
    except ValueError:
        return False


def _compiled(model, metric):
    if not isinstance(metric, (str, dict, list, tuple, keras.metrics.Metric)):
        raise TypeError(
            "Expected `metric` to be the name of a Keras metric, a `keras.Metric`, or "
            "a function of labels and outputs. Received: "
            f"metric={metric!r} of type {type(metric)}"
        )
    stand_in = _StandIn()
    metrics = metric if isinstance(metric, (dict, list, tuple)) else [metric]
    stand_in.compile(metrics=copying.fresh(metrics), run_eagerly=True)
    return stand_in, lambda logs: first(stand_in, logs)


def first(model, logs):
    """The first metric in the order of `compile`, or else the loss."""
    trackers = {metric.name for metric in model.metrics}
    # Keras has them by its own order of outputs in a dict.
    outputs = _named_outputs(model)
    order = [n for output in outputs for n in logs if n.startswith(f"{output}_")]
    order = [n for n in order if not n.endswith("_loss")]
    order += [*model.get_metrics_result(), *logs]
    name = next((n for n in order if n in logs and n not in trackers), "loss")
    return name, logs[name]


def _named_outputs(model):
    """The names of outputs that metrics were compiled for, in that order."""
    metrics = (copying.compile_config(model) or {}).get("metrics")
    return list(metrics) if isinstance(metrics, dict) else []


def accuracy(labels, scores):
    """Share of rows whose largest score is at the label.

    Raises:
        ValueError: if the labels are not the numbers of classes, one a row, or there
            is more than one output.
    """
    if keras.tree.is_nested(scores) or keras.tree.is_nested(labels):
        raise ValueError(
            "a model that is not compiled, and has several outputs, needs a `metric`"
        )
    if labels is None or np.size(labels) != len(scores):
        raise ValueError(
            "without a `metric`, and with a model that is not compiled, accuracy is "
            "measured. It takes one label a row, the number of a class. Received: "
            f"labels of shape {np.shape(labels)}"
        )
    labels = np.ravel(labels)
    if scores.ndim != 2 or scores.shape[1] < 2 or np.any(labels != labels.astype(int)):
        raise ValueError(
            "without a `metric`, and with a model that is not compiled, accuracy is "
            "measured. It takes labels that are numbers of classes, and an output "
            f"for each class. Received: labels of type {labels.dtype}, and outputs of "
            f"shape {scores.shape}"
        )
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise ValueError(
            f"expected labels from 0 to {scores.shape[1] - 1}. Received: labels from "
            f"{labels.min():g} to {labels.max():g}"
        )
    return np.mean(np.argmax(scores, axis=-1) == labels)


def _check_data(data):
    if isinstance(data, (str, dict, np.ndarray)) or np.isscalar(data):
        raise TypeError(
            "Expected `data` to be a pair of arrays, inputs and labels, or a dataset. "
            f"Received: data of type {type(data)}"
        )
    if isinstance(data, (tuple, list)) and len(data) not in (2, 3):
        raise ValueError(
            "Expected `data` to be a pair of arrays, inputs and labels, or with "
            f"weights of rows three. Received: {len(data)}"
        )
    if isinstance(data, collections.abc.Iterator):
        raise ValueError(
            "Expected `data` that can be gone through more than once, such as arrays "
            f"or a `tf.data.Dataset`. Received: an iterator of type {type(data)}"
        )
