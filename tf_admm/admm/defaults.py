"""What is done where the user says no more than how sparse."""

import warnings

from tf_admm import schedules
from tf_admm.constraints import GlobalSparsity
from tf_admm.structure import kernels

#: At most so many times the budget is kept as ADMM begins.
EXCESS = 30.0
#: The least share of weights that a number for all of them is about.
HALF = 0.5


def warn_of_frozen(model):
    """Warn if less than half of the weights of the kernels can be pruned."""
    found = [k for k in kernels.find(model) if not k.by_name_only]
    total = sum(k.size for k in found)
    share = sum(k.size for k in found if k.variable.trainable) / max(total, 1)
    if found and share < HALF:
        warnings.warn(
            f"Only {share:.2g} of the weights of the kernels can be pruned: the others "
            "are frozen. `sparsity` is of those. Set `trainable = True` on the layers "
            f"of '{model.name}' that are to be pruned, and compile it again.",
            stacklevel=3,
        )


def of(sparsity, constraints, kept):
    """The constraint and the schedule of what is kept for one fraction of zeros.

    Raises:
        ValueError: if there are other constraints, or it is no fraction below 1.
    """
    if constraints is not None:
        raise ValueError(
            "Expected `constraints` or `sparsity`, not both. Received: "
            f"constraints={constraints}, sparsity={sparsity}"
        )
    constraint = GlobalSparsity(sparsity, metric="curvature")
    if constraint.sparsity == 1.0:
        raise ValueError(
            "Invalid value for argument `sparsity`. Expected a number in [0, 1), the "
            f"fraction of zeros. Received: sparsity={sparsity}"
        )
    start = min(EXCESS, 1.0 / (1.0 - constraint.sparsity))
    return constraint, schedules.Cubic(start) if kept is None else kept
