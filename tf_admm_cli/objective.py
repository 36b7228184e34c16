"""What a model is trained for and judged by."""

import keras
import numpy as np

from tf_admm.reporting import judging
from tf_admm_cli import problems
from tf_admm_cli.data import first
from tf_admm_cli.data import given as arguments
from tf_admm_cli.problems import BadInput

#: Rows that tell what outputs are.
ROWS = 64
#: How far probabilities may be from a sum of 1, as in float16.
SLACK = 1e-2
SPARSE = "sparse_categorical_crossentropy"
#: Losses of classes, by their `kind`.
OF_CLASSES = {
    "sparsecategoricalcrossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categoricalcrossentropy": keras.losses.CategoricalCrossentropy,
    "binarycrossentropy": keras.losses.BinaryCrossentropy,
}


def settle(model, part, spec, loss=None, metric=None):
    """Compile a model that is not, or by `--loss`; check labels and the metric.

    Args:
        model: the Keras model, which is compiled in place.
        part: data, of which the first rows are read, and all labels of arrays.
        spec: its `Spec`.
        loss, metric: names as Keras knows them, or `None`.

    Raises:
        BadInput: if the loss can't be told, labels are not of its kind, the metric is
            not one that the model is compiled with, or Keras can't evaluate it.
    """
    if loss is not None or not model.compiled:
        x, y = first(part, ROWS)
        outputs = _outputs(model, x)
        found = named(loss, outputs) if loss else inferred(outputs, y)
        compile_by(model, found, metric)
    if isinstance(part, tuple):
        check_labels(part[1], model.loss, spec)
    _check_metric(_trial(model, part), metric, model)


def compile_by(model, found, metric):
    """Compile by a pair of a loss and its own metric, which `metric` replaces."""
    loss, own = found
    _check_name(metric)
    metrics = [m for m in (metric or own,) if m and m != "loss"]
    # XLA takes long to compile, and gains nothing where there is no GPU.
    model.compile("adam", loss, metrics=metrics, jit_compile=False)


def named(name, outputs):
    """The loss of `--loss` and its metric; of logits, if the outputs are none."""
    try:
        loss = keras.losses.get(name)
    except ValueError as error:
        raise BadInput("--loss", problems.gist(error)) from error
    kind_of = kind(name)
    if kind_of not in OF_CLASSES or keras.tree.is_nested(outputs):
        return loss, None
    logits, metric = not _are_of(kind_of, outputs), "accuracy"
    if kind_of == "binarycrossentropy":
        # By the name, Keras compares the largest of several outputs.
        threshold = 0.0 if logits else 0.5
        metric = keras.metrics.BinaryAccuracy("accuracy", threshold=threshold)
    return OF_CLASSES[kind_of](from_logits=logits), metric


def _are_of(kind_of, outputs):
    """Whether outputs are the probabilities that a loss of classes takes."""
    sums = 1.0 if kind_of == "binarycrossentropy" else outputs.sum(axis=-1)
    return _are_shares(outputs, sums)


def _check_name(metric):
    if metric in (None, "loss", "accuracy", "acc", "crossentropy", "ce"):
        return
    try:
        keras.metrics.get(metric)
    except ValueError as error:
        raise BadInput(
            "--metric", f"Expected a name that Keras knows. Received: {metric}"
        ) from error


def _outputs(model, x):
    return keras.tree.map_structure(np.asarray, model.predict_on_batch(x))


def inferred(outputs, y):
    """A loss and a metric for what a model says of rows, and their labels."""
    if not keras.tree.is_nested(outputs) and not keras.tree.is_nested(y):
        classes, whole = outputs.shape[-1], np.all(y == np.round(y))
        # One class for each row, or for each place of it.
        places = outputs.shape[:-1]
        flat = y.shape in (places, (*places, 1))
        if classes > 1 and flat and whole:
            return named(SPARSE, outputs)
        if classes > 1 and _are_one_hot(y, outputs):
            return named("categorical_crossentropy", outputs)
        either = y.size == outputs.size and set(np.unique(y)) <= {0, 1}
        if either and _are_shares(outputs, 1.0):
            return named("binary_crossentropy", outputs)
        if y.size == outputs.size:
            return "mse", "mae"
    raise BadInput(
        "--loss",
        "Expected the name of a Keras loss, or a compiled model, since the loss can't "
        f"be told from labels of shape {keras.tree.map_structure(np.shape, y)} and "
        f"outputs of {keras.tree.map_structure(np.shape, outputs)}. Received: neither",
    )


def _are_one_hot(y, outputs):
    """Whether labels are 1 for one of the outputs, and 0 for the others."""
    return (
        y.shape == outputs.shape
        and set(np.unique(y)) <= {0, 1}
        and np.all(y.sum(axis=-1) == 1)
    )


def _are_shares(outputs, sums):
    """Whether outputs are probabilities."""
    inside = np.all((outputs >= 0) & (outputs <= 1 + SLACK))
    return bool(inside and np.all(np.abs(sums - 1) <= SLACK))


def kind(loss):
    """The name of a loss in lower case, such as `sparsecategoricalcrossentropy`."""
    try:
        found = keras.losses.get(loss)
    except (TypeError, ValueError):
        return ""
    name = getattr(found, "__name__", type(found).__name__)
    return name.lower().replace("_", "")


def label_mode(model, spec, loss):
    """What the labels of an image folder are to be."""
    name = kind(loss or model.loss) if loss or model.compiled else ""
    if name == "categoricalcrossentropy":
        return "categorical"
    return "binary" if spec.classes == 1 else "int"


def check_labels(y, loss, spec, name="DATA", where=""):
    """Raise if labels are out of the range of a loss by classes.

    Args:
        name: the flag or argument that they are of.
        where: which part of it, where that is not plain.
    """
    where = where and f" in {where}"
    kinds = kind(loss), spec.classes
    if keras.tree.is_nested(y) or keras.tree.is_nested(loss) or kinds[1] is None:
        return
    if kinds[0] == "sparsecategoricalcrossentropy":
        _check_range(name, y, kinds[1] - 1, "whole numbers", where)
        if np.any(y != np.round(y)):
            raise BadInput(
                name, f"Expected whole numbers as labels{where}. Received: others"
            )
    elif kinds[0] == "binarycrossentropy":
        _check_range(name, y, 1, "numbers", where)
    elif kinds[0] == "categoricalcrossentropy" and np.shape(y)[-1] != kinds[1]:
        raise BadInput(
            name,
            f"Expected one-hot labels for {kinds[1]} classes{where}. Received: labels "
            f"of shape {np.shape(y)}; --loss={SPARSE} takes numbers of classes",
        )


def _check_range(name, y, most, what, where):
    if np.min(y) < 0 or np.max(y) > most:
        raise BadInput(
            name,
            f"Expected {what} from 0 to {most} as labels{where}. Received: labels from "
            f"{np.min(y):g} to {np.max(y):g}",
        )


def _trial(model, part):
    """The metrics of a few rows."""
    rows = getattr(model, "inputs", None) and model.inputs[0].shape[0] or 2
    x, y = first(part, rows)
    try:
        return model.evaluate(x, y, batch_size=rows, verbose=0, return_dict=True)
    except Exception as error:  # noqa: BLE001, whatever does not fit Keras
        raise BadInput(
            "DATA",
            "Expected data that Keras can evaluate the model on. Received: data on "
            f"which it fails ({problems.last_line(error)})",
        ) from error


def _check_metric(found, metric, model):
    if metric is not None and metric not in found:
        raise BadInput(
            "--metric",
            f"Expected one that the model is compiled with: {', '.join(found)}. "
            f"Received: {metric}",
        )


def evaluated(model, part):
    """All metrics, as floats."""
    found = model.evaluate(**arguments(part), verbose=0, return_dict=True)
    return {name: float(value) for name, value in found.items()}


def headline(model, metrics, metric=None):
    """The name and the value of the metric that counts."""
    return (metric, metrics[metric]) if metric else judging.first(model, metrics)


def title(loss):
    """The name of a loss, or of one for each output, for a person."""
    if keras.tree.is_nested(loss):
        return ", ".join(map(title, keras.tree.flatten(loss)))
    found = keras.losses.get(loss)
    return getattr(found, "__name__", None) or found.name
