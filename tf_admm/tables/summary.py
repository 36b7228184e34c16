"""What is zero in a model: the per-layer table."""

import keras
import numpy as np
from rich.table import Table

from tf_admm.printing import Printed
from tf_admm.printing import shown
from tf_admm.structure import checks
from tf_admm.structure import kernels


class Row:
    """One kernel of the table.

    Attributes:
        path: its structural path.
        shape: its shape, in Keras' axis order.
        kept: number of nonzeros.
        total: number of entries.
        live: number of output units with at least one nonzero.
        units: number of output units.
    """

    def __init__(self, kernel):
        nonzero = keras.ops.convert_to_numpy(kernel.variable) != 0
        _, outputs = kernel.axes
        others = tuple(set(range(nonzero.ndim)) - set(outputs))
        alive = nonzero.any(axis=others)
        self.path = kernel.path
        self.shape = nonzero.shape
        self.kept, self.total = int(nonzero.sum()), nonzero.size
        self.live, self.units = int(alive.sum()), alive.size

    @property
    def sparsity(self):
        """Fraction of zeros."""
        return 1.0 - self.kept / self.total


class Summary(Printed):
    """Sparsity of a model, by kernel and in total.

    Attributes:
        rows: list of `Row`, one for each kernel.
        kept: nonzeros in all kernels.
        total: entries of all kernels.
        parameters: entries of all weights, biases and normalisation included.
    """

    def __init__(self, model: keras.Model):
        checks.check_built(model)
        self.rows = [Row(kernel) for kernel in kernels.find(model)]
        self.kept = sum(row.kept for row in self.rows)
        self.total = sum(row.total for row in self.rows)
        self.parameters = int(sum(np.prod(v.shape) for v in model.weights))

    @property
    def ratio(self):
        """total / kept over kernels only, as the paper counts."""
        return self.total / max(self.kept, 1)

    @property
    def parameter_ratio(self):
        """The same over all parameters; only kernels are counted as pruned."""
        kept = self.parameters - self.total + self.kept
        return self.parameters / max(kept, 1)

    def __rich__(self):
        table = Table("kernel", "shape", title="Sparsity")
        for name in ("kept", "total", "sparsity", "live outputs"):
            table.add_column(name, justify="right")
        for row in self.rows:
            table.add_row(
                row.path,
                str(row.shape),
                f"{row.kept:,}",
                f"{row.total:,}",
                f"{row.sparsity:.2%}",
                f"{row.live} / {row.units}",
            )
        table.add_section()
        table.add_row(
            "all kernels",
            f"{self.ratio:.1f}x smaller",
            f"{self.kept:,}",
            f"{self.total:,}",
            f"{1 - self.kept / max(self.total, 1):.2%}",
        )
        kept = self.parameters - self.total + self.kept
        table.add_row(
            "all parameters",
            f"{self.parameter_ratio:.1f}x smaller",
            f"{kept:,}",
            f"{self.parameters:,}",
            f"{1 - kept / max(self.parameters, 1):.2%}",
        )
        return table


def summary(model: keras.Model, *, verbose: int = 1) -> Summary:
    """Print how sparse each kernel of a model is.

    Args:
        model: a built Keras model.
        verbose: 0 to print nothing.

    Returns:
        A `Summary`.

    Raises:
        TypeError: if it is no Keras model.
        ValueError: if it isn't built.
    """
    return shown(Summary(model), verbose)
