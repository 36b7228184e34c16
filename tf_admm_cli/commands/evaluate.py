"""Evaluate a .keras or a .tflite file: its metrics on the data.

Where the data has a test part, that is what counts. Of a TFLite file without a loss,
the metric is accuracy for labels of classes and the mean absolute error for others.

Example: tf-admm evaluate out/model.keras data.npz
"""

from tf_admm_cli import options
from tf_admm_cli import paths

ARGUMENTS = ("MODEL_OR_TFLITE", "DATA", "[LABELS]")


def define(values):
    """The flags of the command."""
    options.goals(values)
    options.data(values)
    options.models(values)


def check(given):
    """What can be known to be wrong before any work."""
    path = given.arguments[0]
    if path.endswith(".keras"):
        paths.check_model("MODEL_OR_TFLITE", path)
    else:
        paths.check_file("MODEL_OR_TFLITE", path, ".keras", ".tflite")
    paths.check_data("DATA", given.arguments[1:])


def run(given):
    """Load and evaluate."""
    from tf_admm_cli import opening
    from tf_admm_cli import tflite

    if given.arguments[0].endswith(".tflite"):
        return _result(given, *tflite.evaluated(given))
    with opening.opened(given, given.arguments[1:], whole=True) as opened:
        return _result(given, *_of_keras(opened))


def _of_keras(opened):
    from tf_admm_cli import objective

    part = opened.data.held_out
    metrics = objective.evaluated(opened.model, getattr(opened.data, part))
    return metrics, part, opened.data.rows[part]


def _result(given, metrics, part, rows):
    import os

    from tf_admm_cli import showing

    path = given.arguments[0]
    record = {
        "file": path,
        "bytes": os.path.getsize(path),
        "data": {"train": "all", "test": "test part"}[part],
        "rows": rows,
    }
    metrics = {name: showing.plain(value) for name, value in metrics.items()}
    shown = showing.table(path, {**record, **metrics})
    return showing.Result(record | {"metrics": metrics}, [shown])
