"""The report: an object, a printed table, and a page."""

import dataclasses
import tempfile

from rich import box
from rich.console import Console
from rich.console import Group
from rich.table import Table

from tf_admm.reporting import page
from tf_admm.reporting import variants
from tf_admm.structure import kernels
from tf_admm.tables.summary import Summary

#: Columns of the table of files.
HEADS = ("file", "bytes", "gzip", "MACs", "left", "ms", "faster", "accuracy", "note")


@dataclasses.dataclass(frozen=True)
class DeploymentReport:
    """What a model comes to as each of several files.

    Attributes:
        variants: list of `Variant`: bytes, gzip bytes, MACs, latency, accuracy.
        failed: dict from names of files that can't be made to why.
        summary: the `Summary` of the kernels.
        prospects: dict from kernel paths to whether zeros can make them faster.
    """

    variants: list
    failed: dict
    summary: Summary
    prospects: dict

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
        for name in HEADS[1:-1]:
            # Of a number, no digit is left out.
            table.add_column(name, justify="right", overflow="fold")
        for variant in self.variants:
            table.add_row(*cells(variant)[:-1])
        return table

    def _notes(self):
        notes = {variant.name: variant.note for variant in self.variants}
        notes.update(self.failed)
        return [f"{name}: {note}" for name, note in notes.items() if note]


def cells(variant):
    """A variant as text, in the order of the table."""
    accuracy = "-" if variant.accuracy is None else f"{variant.accuracy:.2%}"
    return (
        variant.name,
        f"{variant.bytes:,}",
        f"{variant.gzip_bytes:,}",
        "-" if variant.macs is None else f"{variant.macs:,}",
        "-" if variant.macs_left is None else f"{variant.macs_left:,}",
        f"{variant.milliseconds:.3f}",
        f"{variant.speedup:.2f}x",
        accuracy,
        variant.note,
    )


def report(model, data=None, representative=None, html=None):
    """Export a model in several ways, measure each, and print the table.

    Files are float32 and float16, dense and sparse, of the model and of what
    `shrink` makes of it, and int8 if `representative` is given. Each has been run and
    compared with the model. Latency is of this machine, on one thread, the files
    taking turns; nothing is claimed that was not measured.

    Args:
        model: a built functional or sequential Keras model of one input, of known
            size, and one output.
        data: `(x, y)`, on which accuracy is the share of rows whose largest output
            is at the label; `None` for no accuracy.
        representative: inputs for int8, as `to_tflite` takes them.
        html: path of a self-contained page with pictures, which needs matplotlib.

    Returns:
        The `DeploymentReport` that was printed.

    Raises:
        ValueError: before any work, if the model or the labels are of another kind,
            or the page can't be written.
        RuntimeError: if not even the dense float32 file can be made.
    """
    page.check(html)
    variants.check(model, data)
    with tempfile.TemporaryDirectory() as folder:
        paths, failed = variants.made(model, representative, folder)
        variants.measure(paths, data)
    found = kernels.find(model)
    result = DeploymentReport(
        variants=[variant for variant, _ in paths],
        failed=failed,
        summary=Summary(model),
        prospects={kernel.path: variants.prospect(kernel) for kernel in found},
    )
    Console().print(result)
    if html is not None:
        rows = [HEADS, *map(cells, result.variants)]
        page.write(html, model, result, rows)
    return result
