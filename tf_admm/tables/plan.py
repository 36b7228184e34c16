"""What each kernel would get: a dry run of the selectors."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from rich.table import Table

from tf_admm.constraints import sharing
from tf_admm.printing import Printed
from tf_admm.printing import shown
from tf_admm.structure import checks
from tf_admm.structure import members


class Row:
    """One kernel of the plan.

    Attributes:
        path: its structural path.
        shape: its shape, in Keras' axis order.
        constraint: what it gets, or `None`.
        why: the key that matched, or why it gets none.
        kept: number of nonzeros of its nearest member.
        total: number of entries.
    """

    def __init__(self, choice, kept):
        self.path = choice.kernel.path
        self.shape = tuple(choice.kernel.variable.shape)
        self.constraint = choice.constraint
        self.why = choice.why
        self.kept = kept
        self.total = choice.kernel.size


class Plan(Printed):
    """What each kernel of a model would get.

    Attributes:
        rows: list of `Row`, one for each kernel, in the order of the model.
        kept: nonzeros in all kernels.
        total: entries of all kernels.
        groups: list of `GroupChoice`, one for each channel group that gets a set.
        parameters: entries of all weights, also those that no set is for.
        rest: of these, what is in no kernel: biases, normalisation, and others.
    """

    def __init__(self, model: keras.Model, constraints: Any):
        checks.check_built(model)
        choices, chosen = members.choose(model, constraints)
        kept = _kept(choices, members.Matched([], chosen))
        self.rows = [
            Row(choice, kept[id(choice.kernel.variable)]) for choice in choices
        ]
        self.groups = [choice for choice in chosen if choice.constraint is not None]
        self.kept = sum(row.kept for row in self.rows)
        self.total = sum(row.total for row in self.rows)
        self.parameters = sum(math.prod(v.shape) for v in model.weights)
        self.rest = self.parameters - self.total

    def share(self, total):
        """So many entries as a fraction of all parameters."""
        return total / max(self.parameters, 1)

    @property
    def ratio(self):
        """total / kept over kernels only, as the paper counts."""
        return self.total / max(self.kept, 1)

    def _why(self, row):
        """Why, and of what is not covered its share of the parameters."""
        uncovered = row.constraint is None
        return f"{row.why} ({self.share(row.total):.1%})" if uncovered else row.why

    def __rich__(self):
        table = Table(title="Plan")
        for name in ("kernel", "shape", "constraint"):
            table.add_column(name, overflow="fold")
        table.add_column("kept", justify="right")
        table.add_column("total", justify="right")
        table.add_column("why", overflow="fold")
        for row in self.rows:
            table.add_row(
                row.path,
                str(row.shape),
                "-" if row.constraint is None else repr(row.constraint),
                f"{row.kept:,}",
                f"{row.total:,}",
                self._why(row),
            )
        if self.groups:
            table.add_section()
        for choice in self.groups:
            table.add_row(
                f"channels of {choice.group.name}",
                f"{choice.group.channels:,}",
                repr(choice.constraint),
                f"{choice.constraint.kept(choice.group.channels):,}",
                f"{choice.group.channels:,}",
                choice.why,
            )
        table.add_section()
        table.add_row(
            "all kernels",
            "",
            f"{self.ratio:.1f}x smaller",
            f"{self.kept:,}",
            f"{self.total:,}",
        )
        table.add_row(
            "the rest",
            "",
            "-",
            f"{self.rest:,}",
            f"{self.rest:,}",
            f"biases, normalisation, other ({self.share(self.rest):.1%})",
        )
        return table


def _kept(choices, of_groups):
    """Nonzeros of the projections of the weights as they are, by variable."""
    counts = {id(c.kernel.variable): _nonzeros(c.kernel.variable) for c in choices}
    pairs = [(c.kernel, c.constraint) for c in choices if c.constraint is not None]
    for constraint, group in sharing.together([*pairs, *of_groups]):
        ws = [k.canonical(ops.convert_to_tensor(k.variable)) for k in group]
        for kernel, settled in zip(group, constraint.settle(ws)):
            counts[id(kernel.variable)] = _nonzeros(settled)
    return counts


def _nonzeros(tensor):
    return int(np.count_nonzero(ops.convert_to_numpy(tensor)))


def plan(model: keras.Model, constraints: Any, *, verbose: int = 1) -> Plan:
    """Print what each kernel of a model would get, and why; change nothing.

    Args:
        model: a built Keras model.
        constraints: as in `ADMMModel`.
        verbose: 0 to print nothing.

    Returns:
        A `Plan`.

    Raises:
        ValueError: as `ADMMModel` would.
    """
    return shown(Plan(model, constraints), verbose)
