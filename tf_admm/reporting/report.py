"""The report: measured, printed, and written as a page."""

import os
import tempfile
from collections.abc import Callable
from typing import Any

import keras

from tf_admm.export import checking
from tf_admm.printing import shown
from tf_admm.reporting import choosing
from tf_admm.reporting import given
from tf_admm.reporting import page
from tf_admm.reporting import variants
from tf_admm.reporting.deployment import DeploymentReport
from tf_admm.reporting.history import read
from tf_admm.structure import kernels
from tf_admm.structure import kinds
from tf_admm.tables.summary import Summary


def report(
    model: keras.Model,
    data: Any = None,
    representative: Any = None,
    html: str | os.PathLike | None = None,
    *,
    metric: str | Callable | keras.Metric | None = None,
    samples: Any = None,
    history: keras.callbacks.History | dict | str | os.PathLike | None = None,
    max_drop: float = 0.005,
    verbose: int = 1,
) -> DeploymentReport:
    """Export a model in several ways, measure each, and print the table.

    Files are float32 and float16, dense and sparse, of the model and of what
    `shrink` makes of it, and int8 if `representative` is given. Each has been run and
    compared with the model. Latency is of one row on one thread of this machine, the
    files taking turns; nothing is claimed that was not measured.

    Keras may run on any backend: `to_tflite` says how files are written then.

    Args:
        model: a built functional or sequential Keras model.
        data: what the metric is measured on, as `evaluate` takes it: `(x, y)`, in the
            structures of the model's inputs and outputs, or a dataset that can be
            gone through more than once. `None` for no metric. Keras evaluates the
            model on it first, and then each file, run row by row.
        representative: inputs for int8, as `to_tflite` takes them.
        html: path of a self-contained page with pictures; it needs jinja2 and
            matplotlib (`pip install tf_admm[report]`).
        metric: a metric as `compile` takes it, by name or as a `keras.Metric`, of
            which the first is shown if there are several, or a function from whole
            labels and outputs to a float. By default the first metric that the model
            was compiled with, or its loss if it has none; of a model that is not
            compiled, accuracy: the share of rows whose largest output is at the
            label.
        samples: inputs of the sizes to measure at, in the structure of the model's;
            needed only where neither the model nor `data` says them. Latency is that
            of their first row.
        history: of the training, which the page then draws: a
            `keras.callbacks.History`, a dict of lists, or the path of a CSV as
            `keras.callbacks.CSVLogger` writes it. Columns may be missing.
        max_drop: how much worse than the dense file's the metric of the file to ship
            may be, as in `DeploymentReport.choice`.
        verbose: 0 to print nothing.

    Returns:
        A `DeploymentReport`.

    Raises:
        TypeError: before any work, if an argument is of another kind.
        ValueError: before any work, if the model is neither functional nor
            sequential, if Keras can't evaluate it on the data, if sizes are not
            known, or if the history or the page can't be read or written.
        ImportError: before any work, if there is no jinja2 or matplotlib for the page,
            or no TensorFlow or LiteRT for the files.
        RuntimeError: if not even the dense float32 file can be made.

    Example:

    ```python
    report = tf_admm.report(
        model, (x_test, y_test), metric=keras.metrics.MeanAbsoluteError(),
    )
    print(report.metric, [variant.metric for variant in report.variants])
    ```
    """
    page.check(html)
    checking.check_tflite()
    choosing.check_max_drop(max_drop)
    _check_history(history, html)
    judge, samples, row = given.checked(model, data, metric, samples, representative)
    with tempfile.TemporaryDirectory() as folder:
        files, failed = variants.made(model, representative, folder, samples)
        variants.measure(files, row, judge)
    result = DeploymentReport(
        variants=[variant for variant, _ in files],
        failed=failed,
        summary=Summary(model),
        prospects={k.path: kinds.prospect(k) for k in kernels.find(model)},
        metric=judge and judge.name,
        better=judge and judge.better,
        max_drop=max_drop,
        uses=variants.used(model, samples),
    )
    shown(result, verbose)
    if html is not None:
        page.write(html, model, result, history)
    return result


def _check_history(history, html):
    if history is None:
        return
    if html is None:
        raise ValueError(
            "Expected `html`, the page that `history` is drawn on. Received: "
            f"history of type {type(history)}, and no html"
        )
    read(history)
