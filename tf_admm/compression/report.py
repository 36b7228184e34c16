"""What a run came to, as an object and a printed table."""

import dataclasses

from rich import box
from rich.console import Group
from rich.table import Table

from tf_admm.compression.stages import aim
from tf_admm.printing import Printed
from tf_admm.reporting import DeploymentReport
from tf_admm.reporting import words
from tf_admm.reporting.variants import Variant

#: What may help where nothing that was tried is good enough.
ASIDE = (
    "They were judged by a tenth of the training data, on which the dense network is "
    "at its best: data of their own (validation_data) may allow more."
)


@dataclasses.dataclass(frozen=True, repr=False)
class CompressionReport(Printed):
    """What `compress` has tried, made and measured.

    Attributes:
        goal: what was asked, such as `"max_drop=0.005"`.
        metric: the name of the metric that decided, on the validation data.
        dense: its value for the dense model.
        noun: what was pruned last, `"weights"` or `"multiplications"`.
        left: dict of the shares that the result has of the dense model's `weights`, of
            all kernels, and `multiplications`, measured, in (0, 1].
        stages: list of dicts: `noun`, `share` (aimed at, where the kernels are pruned),
            `metric`, `meets`, `why` (not, where the metric is no worse than asked),
            `left` (measured, of all kernels, in the noun of the report), `minutes`.
        deployment: the `DeploymentReport` of the files; the first is the dense model's.
        files: dict from names of variants to paths, of those that may be shipped; empty
            without `output`.
        test: dict of the metric on the test data, `dense` and `chosen`; or `None`.
        minutes: float, of the whole.
        is_aside: whether the validation data were set aside from the training data.
    """

    goal: str
    metric: str
    dense: float
    noun: str
    left: dict
    stages: list
    deployment: DeploymentReport
    files: dict
    test: dict | None
    minutes: float
    is_aside: bool = False

    @property
    def share(self) -> float:
        """How much the result has of what was pruned last, in (0, 1]."""
        return self.left[self.noun]

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
        pruned = dict.fromkeys(s["noun"] for s in self.stages if s["meets"])
        gained = [
            f"{words.less(1.0 / self.left[noun], 'fewer', 'more', 'as many')} {noun}"
            for noun in pruned
        ]
        if not gained:
            return self._nothing()
        return f"{' and '.join(gained)} ({self.goal})."

    def _nothing(self):
        """That nothing was pruned, why, and what may help."""
        tried = [stage for stage in self.stages if stage["metric"] is not None]
        why = "could be made" if self.stages else "was finished within the time limit"
        if tried:
            why = f"is good enough ({len(tried)} tried)"
        text = f"Nothing was pruned ({self.goal}): no smaller network {why}."
        if tried and self.is_aside:
            text += f" {ASIDE}"
        return f"{text} The file is the dense network's, as {self.chosen.dtype}."

    def _tested(self):
        if self.test is None:
            return ""
        pair = [self.test["chosen"], self.test["dense"]]
        chosen, dense = words.values(pair, self.metric)
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
            "left": self.left,
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
            "aimed at",
            title="Tried, on the validation data",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for name in (f"{self.noun} left", self.metric, "minutes"):
            table.add_column(name, justify="right")
        table.add_column("within the goal?")
        found = [self.dense, *(stage["metric"] for stage in self.stages)]
        dense, *values = words.values(found, self.metric)
        table.add_row("dense", words.share(1.0), dense, "", "")
        for stage, value in zip(self.stages, values):
            is_made = stage["metric"] is not None
            table.add_row(
                aim(stage),
                words.share(stage["left"]) if is_made else "-",
                value if is_made else "can't be made",
                f"{stage['minutes']:.1f}",
                words.answer(stage["meets"], stage["why"]),
            )
        return table
