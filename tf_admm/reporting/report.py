"""The report: an object, a printed table, and a page."""

import dataclasses
import os
import tempfile
from collections.abc import Callable
from typing import Any

import keras
from rich import box
from rich.console import Group
from rich.table import Table

from tf_admm.printing import Printed
from tf_admm.printing import shown
from tf_admm.reporting import given
from tf_admm.reporting import page
from tf_admm.reporting import variants
from tf_admm.structure import kernels
from tf_admm.structure import kinds
from tf_admm.tables.summary import Summary

#: Columns of the table of files.
HEADS = ("file", "bytes", "gzip", "MACs", "left", "ms", "faster")


@dataclasses.dataclass(frozen=True, repr=False)
class DeploymentReport(Printed):
    """What a model comes to as each of several files.

    Attributes:
        variants: list of `Variant`: bytes, gzip bytes, MACs, latency, metric.
        failed: dict from names of files that can't be made to why.
        summary: the `Summary` of the kernels.
        prospects: dict from kernel paths to whether zeros can make them faster.
        metric: the name of what was measured on the data, or `None`.
    """

    variants: list
    failed: dict
    summary: Summary
    prospects: dict
    metric: str | None = None

    @property
    def heads(self):
        """Titles of the columns of the table of files."""
        return (*HEADS, self.metric or "metric", "note")

    def cells(self, variant):
        """A variant as text, in the order of the table."""
        return (
            variant.name,
            f"{variant.bytes:,}",
            f"{variant.gzip_bytes:,}",
            "-" if variant.macs is None else f"{variant.macs:,}",
            "-" if variant.macs_left is None else f"{variant.macs_left:,}",
            f"{variant.milliseconds:.3f}",
            f"{variant.speedup:.2f}x",
            self._value(variant.metric),
            variant.note,
        )

    def _value(self, value):
        if value is None:
            return "-"
        return f"{value:.2%}" if "accuracy" in self.metric else f"{value:.4g}"

    def __rich__(self):
        return Group(self.summary, self._prospects(), self._variants())

    def _prospects(self):
        table = Table("kernel", "faster for its zeros?", title="Prospects")
        for path, prospect in self.prospects.items():
            table.add_row(path, prospect)
        return table

    def _variants(self):
        table = Table(
            HEADS[0],
            title="Measured, on one thread of this machine",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
            caption="\n".join(self._notes()),
            caption_justify="left",
        )
        for name in self.heads[1:-1]:
            # Of a number, no digit is left out.
            table.add_column(name, justify="right", overflow="fold")
        for variant in self.variants:
            table.add_row(*self.cells(variant)[:-1])
        return table

    def _notes(self):
        notes = {variant.name: variant.note for variant in self.variants}
        notes.update(self.failed)
        return [f"{name}: {note}" for name, note in notes.items() if note]


def report(
    model: keras.Model,
    data: Any = None,
    representative: Any = None,
    html: str | os.PathLike | None = None,
    *,
    metric: str | Callable | keras.Metric | None = None,
    samples: Any = None,
    verbose: int = 1,
) -> DeploymentReport:
    """Export a model in several ways, measure each, and print the table.

    Files are float32 and float16, dense and sparse, of the model and of what
    `shrink` makes of it, and int8 if `representative` is given. Each has been run and
    compared with the model. Latency is of one row on one thread of this machine, the
    files taking turns; nothing is claimed that was not measured.

    Args:
        model: a built functional or sequential Keras model.
        data: what the metric is measured on, as `evaluate` takes it: `(x, y)`, in the
            structures of the model's inputs and outputs, or a dataset that can be
            gone through more than once. `None` for no metric. Keras evaluates the
            model on it first, and then each file, run row by row.
        representative: inputs for int8, as `to_tflite` takes them.
        html: path of a self-contained page with pictures, which needs matplotlib.
        metric: a metric as `compile` takes it, by name or as a `keras.Metric`, of
            which the first is shown if there are several, or a function from whole
            labels and outputs to a float. By default the first metric that the model
            was compiled with, or its loss if it has none; of a model that is not
            compiled, accuracy: the share of rows whose largest output is at the
            label.
        samples: inputs of the sizes to measure at, in the structure of the model's;
            needed only where neither the model nor `data` says them. Latency is that
            of their first row.
        verbose: 0 to print nothing.

    Returns:
        A `DeploymentReport`.

    Raises:
        TypeError: before any work, if an argument is of another kind.
        ValueError: before any work, if the model is neither functional nor
            sequential, if Keras can't evaluate it on the data, if sizes are not
            known, or if the page can't be written.
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
    judge, samples, row = given.checked(model, data, metric, samples, representative)
    with tempfile.TemporaryDirectory() as folder:
        files, failed = variants.made(model, representative, folder, samples)
        variants.measure(files, row, judge)
    found = kernels.find(model)
    result = DeploymentReport(
        variants=[variant for variant, _ in files],
        failed=failed,
        summary=Summary(model),
        prospects={kernel.path: kinds.prospect(kernel) for kernel in found},
        metric=judge and judge.name,
    )
    shown(result, verbose)
    if html is not None:
        rows = [result.heads, *map(result.cells, result.variants)]
        page.write(html, model, result, rows)
    return result
