"""What a run came to, as an object and a printed table."""

import dataclasses

from rich import box
from rich.console import Group
from rich.table import Table

from tf_admm.compression.stages import times
from tf_admm.printing import Printed
from tf_admm.reporting import DeploymentReport
from tf_admm.reporting import words
from tf_admm.reporting.variants import Variant


@dataclasses.dataclass(frozen=True, repr=False)
class CompressionReport(Printed):
    """What `compress` has tried, made and measured.

    Attributes:
        goal: what was asked, such as `"max_drop=0.005"`.
        metric: the name of the metric that decided, on the validation data.
        dense: its value for the dense model.
        noun: what was pruned last, `"weights"` or `"multiplications"`.
        share: how much of them the result has, in (0, 1].
        stages: list of dicts: `noun`, `share`, `metric`, `meets`, `why` (not, where the
            metric is no worse than asked), `left`, `minutes`.
        deployment: the `DeploymentReport` of the files; the first is the dense model's.
        files: dict from names of variants to paths; empty without `output`.
        test: dict of the metric on the test data, `dense` and `chosen`; or `None`.
        minutes: float, of the whole.
    """

    goal: str
    metric: str
    dense: float
    noun: str
    share: float
    stages: list
    deployment: DeploymentReport
    files: dict
    test: dict | None
    minutes: float

    @property
    def chosen(self) -> Variant:
        """The file to ship."""
        return self.deployment.choice()

    @property
    def headline(self) -> str:
        """What was gained, at what cost, and which file to ship."""
        parts = (self._gained(), self.deployment.headline, self._tested())
        return " ".join(part for part in parts if part)

    def _gained(self):
        least = {}
        for stage in self.stages:
            if stage["meets"]:
                least[stage["noun"]] = min(
                    stage["share"], least.get(stage["noun"], 1.0)
                )
        gained = [f"{times(share)} fewer {noun}" for noun, share in least.items()]
        return f"{' and '.join(gained) or 'Nothing could be pruned'} ({self.goal})."

    def _tested(self):
        if self.test is None:
            return ""
        chosen, dense = (
            words.value(self.test[key], self.metric) for key in ("chosen", "dense")
        )
        return f"On the test data {self.metric} is {chosen} against {dense}."

    def record(self) -> dict:
        """All of it as JSON has it."""
        return {
            "headline": self.headline,
            "goal": self.goal,
            "metric": self.metric,
            "dense": self.dense,
            "noun": self.noun,
            "share": self.share,
            "stages": self.stages,
            "chosen": self.chosen.name,
            "variants": [dataclasses.asdict(v) for v in self.deployment.variants],
            "failed": self.deployment.failed,
            "files": self.files,
            "test": self.test,
            "minutes": self.minutes,
        }

    def __rich__(self):
        lines = [line for line in (self._gained(), self._tested()) if line]
        return Group(self._stages(), self.deployment.files_table(), *lines)

    def _stages(self):
        table = Table(
            "fewer",
            "",
            title="Tried, on the validation data",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for name in (self.metric, "minutes"):
            table.add_column(name, justify="right")
        table.add_column("good enough?")
        table.add_row("dense", "", words.value(self.dense, self.metric), "", "")
        for stage in self.stages:
            value = stage["metric"]
            table.add_row(
                times(stage["share"]),
                stage["noun"],
                "can't be made" if value is None else words.value(value, self.metric),
                f"{stage['minutes']:.1f}",
                words.answer(stage["meets"], stage["why"]),
            )
        return table
