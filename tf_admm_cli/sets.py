"""What is asked to be zero, by flags."""

import math

import tf_admm
from tf_admm_cli import problems
from tf_admm_cli.problems import BadInput


def constraints(given):
    """The constraints of `--constraints`, `--ratio` or `--sparsity`.

    Raises:
        BadInput: if the file holds something else.
    """
    if given.constraints:
        return _loaded(given.constraints)
    return tf_admm.constraints.GlobalSparsity(sparsity(given), metric="curvature")


def sparsity(given):
    """The fraction of zeros that is asked for."""
    if given.ratio is None:
        return given.sparsity
    if not math.isfinite(given.ratio):
        raise BadInput("--ratio", f"Expected a finite number. Received: {given.ratio}")
    return 1 - 1 / given.ratio


def _loaded(path):
    try:
        return tf_admm.Allocation.load(path)
    except (OSError, ValueError) as error:
        raise BadInput("--constraints", problems.gist(error)) from error


def plan_record(plan):
    """A `Plan` as plain JSON."""
    rows = [
        {
            "kernel": row.path,
            "shape": list(row.shape),
            "constraint": None if row.constraint is None else repr(row.constraint),
            "kept": row.kept,
            "total": row.total,
            "why": row.why,
        }
        for row in plan.rows
    ]
    return {
        "kernels": rows,
        "kept": plan.kept,
        "total": plan.total,
        "ratio": plan.ratio,
        "parameters": plan.parameters,
    }


def summary_record(summary):
    """A `Summary` as plain JSON."""
    rows = [
        {
            "kernel": row.path,
            "shape": list(row.shape),
            "kept": row.kept,
            "total": row.total,
            "live": row.live,
            "units": row.units,
        }
        for row in summary.rows
    ]
    return {
        "kernels": rows,
        "kept": summary.kept,
        "total": summary.total,
        "ratio": summary.ratio,
        "parameters": summary.parameters,
        "parameter_ratio": summary.parameter_ratio,
    }
