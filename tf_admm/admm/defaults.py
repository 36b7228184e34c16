"""What is done where the user says no more than how sparse."""

from tf_admm import schedules
from tf_admm.constraints import GlobalSparsity

#: At most so many times the budget is kept as ADMM begins.
EXCESS = 30.0


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
