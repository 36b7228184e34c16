"""What pruning by inputs alone came to."""

import dataclasses

from rich.table import Table

from tf_admm.printing import Printed


@dataclasses.dataclass(frozen=True)
class Row:
    """One kernel.

    Attributes:
        path: its structural path.
        kept: number of nonzeros.
        total: number of entries.
        projected: `||X W - X V||^2 / ||X W||^2` of the trained kernel projected on the
            set, X what the layer reads in the pruned model, and a hundredth of its mean
            square along every input; `None` where the layer is no sum of products, and
            the kernel was projected.
        loss: the same of what ADMM and least squares found, never more; or `None`.
    """

    path: str
    kept: int
    total: int
    projected: float | None
    loss: float | None


class PostTrainingReport(Printed):
    """The rows by kernel, and how long it took.

    Attributes:
        rows: list of `Row`, in the order in which the layers are called.
        seconds: float.
    """

    def __init__(self, rows: list[Row], seconds: float):
        self.rows = rows
        self.seconds = seconds

    def __rich__(self):
        table = Table(
            "kernel", title=f"Pruned in {self.seconds:.1f} s; loss of outputs"
        )
        for name in ("kept", "total", "projected", "ADMM"):
            table.add_column(name, justify="right")
        for row in self.rows:
            table.add_row(
                row.path,
                f"{row.kept:,}",
                f"{row.total:,}",
                *("-" if x is None else f"{x:.2%}" for x in (row.projected, row.loss)),
            )
        return table
