"""The report as an object and a printed table."""

import dataclasses

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tf_admm.printing import Printed
from tf_admm.reporting import choosing
from tf_admm.reporting import words
from tf_admm.reporting.headline import headline
from tf_admm.reporting.variants import Variant
from tf_admm.tables.summary import Summary

#: Columns of the table of files.
HEADS = ("file", "bytes", "gzip", "MACs", "left", "ms", "faster")


@dataclasses.dataclass(frozen=True, repr=False)
class DeploymentReport(Printed):
    """What a model comes to as each of several files.

    Attributes:
        variants: list of `Variant`: bytes, gzip bytes, MACs, latency, metric. The
            first is the dense float32 file, which all others are measured beside.
        failed: dict from names of files that can't be made to why.
        summary: the `Summary` of the kernels.
        prospects: dict from kernel paths to whether zeros can make them faster.
        metric: the name of what was measured on the data, or `None`.
        better: `"max"` or `"min"`, whichever of the metric is better; `None` if not
            known.
        max_drop: how much worse than the dense file's the metric may be.
        lost: how much of that every pruned file loses, where a size was asked for.
        least_speed: how many times as fast as the dense file the one to ship must be.
        uses: dict from kernel paths to how often one of its weights is multiplied for
            one sample; empty where the model's shapes are not known.
    """

    variants: list
    failed: dict
    summary: Summary
    prospects: dict
    metric: str | None = None
    better: str | None = None
    max_drop: float = 0.005
    lost: float = 0.0
    least_speed: float = 0.0
    uses: dict = dataclasses.field(default_factory=dict)

    def choice(self, max_drop: float | None = None) -> Variant:
        """The file to ship: the smallest whose metric is good enough.

        Good enough is at most `max_drop` worse than the first variant, which is
        dense: of a metric whose most is best the difference, of one whose least is
        best the difference over the dense value, and if neither is known that
        difference up or down. Where no metric was measured, it is the smallest file
        with float weights, for int8 changes outputs.

        Args:
            max_drop: what the metric may lose; the report's own by default.

        Raises:
            TypeError: if `max_drop` is no number.
            ValueError: if it is below 0.0, or not finite.
        """
        limit = self.max_drop if max_drop is None else max_drop
        choosing.check_max_drop(limit)
        return choosing.choice(self.variants, self.better, limit, self.least_speed)

    @property
    def headline(self) -> str:
        """Which file to ship, what is gained by it, at what cost, and why."""
        return headline(self)

    @property
    def heads(self):
        """Titles of the columns of the table of files."""
        return (*HEADS, self.metric or "metric", "note")

    def rows(self):
        """Each variant as text, in the order of the table."""
        times = words.milliseconds([v.milliseconds for v in self.variants])
        metrics = words.values([v.metric for v in self.variants], self.metric)
        return [self._cells(*each) for each in zip(self.variants, times, metrics)]

    def _cells(self, variant, time, metric):
        return (
            variant.name,
            f"{variant.bytes:,}",
            f"{variant.gzip_bytes:,}",
            "-" if variant.macs is None else f"{variant.macs:,}",
            "-" if variant.macs_left is None else f"{variant.macs_left:,}",
            time,
            f"{variant.speedup:.2f}x",
            metric,
            variant.note,
        )

    def notes(self):
        """What was not as asked, as pairs of the file's name and a text."""
        notes = {variant.name: variant.note for variant in self.variants}
        return [(name, note) for name, note in (notes | self.failed).items() if note]

    def __rich__(self):
        return Group(self.summary, self._prospects(), self.files_table())

    def _prospects(self):
        table = Table("kernel", "faster for its zeros?", title="Prospects")
        for path, prospect in self.prospects.items():
            table.add_row(Text(path), prospect)
        return table

    def files_table(self):
        """The part of the table that is about files."""
        lines = [f"* {self.headline}", *(": ".join(note) for note in self.notes())]
        table = Table(
            HEADS[0],
            title="Measured, on one thread of this machine",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
            caption=Text("\n".join(lines)),
            caption_justify="left",
        )
        for name in self.heads[1:-1]:
            # Of a number, no digit is left out.
            table.add_column(name, justify="right", overflow="fold")
        chosen = self.choice()
        for variant, row in zip(self.variants, self.rows()):
            name, *cells = row[:-1]
            table.add_row(f"{name} *" if variant is chosen else name, *cells)
        return table
