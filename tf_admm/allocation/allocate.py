"""One budget for a model, made into a constraint for each kernel."""

import math
import numbers

from tf_admm.allocation import channels
from tf_admm.allocation import costs
from tf_admm.allocation import methods
from tf_admm.allocation import shares as sharing
from tf_admm.allocation.table import Allocation
from tf_admm.constraints import RateConstraint
from tf_admm.constraints import Sparsity
from tf_admm.structure import checks
from tf_admm.structure import kernels
from tf_admm.structure import selectors
from tf_admm.tables.plan import plan

BUDGETS = {
    "ratio": costs.Nonzeros,
    "nonzeros": costs.Nonzeros,
    "bytes": costs.Bytes,
    "macs": costs.MACs,
}
STRUCTURES = ("weights", "channels")
#: Relative; of a budget that has been printed.
ROUNDING = 1e-9


def allocate(
    model,
    *,
    ratio=None,
    nonzeros=None,
    bytes=None,
    macs=None,
    method="magnitude",
    constraint=Sparsity,
    exclude=(),
    structure="weights",
    data=None,
    cache=None,
    samples=None,
):
    """Turn one budget into a constraint for each kernel, and print the plan.

    The budget is met to within the cost of one unit of the set (a weight, a
    block, a filter), from below, over all kernels of the model; blocks that are
    cut off by the end of an axis cost as much as whole ones. Kernels that are
    excluded, untrainable or embeddings count as they are. Each kernel keeps as many
    weights as it has outputs, or a unit if that is more, so that it can join its
    inputs to all outputs; which weights these are is the training's to find.

    Args:
        model: a built Keras model.
        ratio: float, weights of all kernels over those kept, as the paper counts.
        nonzeros: int, weights kept. One of the budgets is given.
        bytes: int, bytes of the kernels in a float32 TFLite file, each stored
            dense or sparse, whichever is less; an estimate.
        macs: int, multiplications of one sample that are left; of a functional
            or sequential model.
        method: `"uniform"`, the same sparsity everywhere; `"erk"`,
            Erdos-Renyi-kernel; `"magnitude"`, one threshold for all weights;
            `"sensitivity"`, where the loss on `data` suffers least, measured one
            kernel at a time.
        constraint: a function from a sparsity to a `RateConstraint`, such as the
            class `Sparsity` or `FilterSparsity`.
        exclude: keys of kernels to leave alone, as in `ADMMModel`; of channels, names
            of groups.
        structure: `"weights"`, or `"channels"`: the budget is spent over the channel
            groups of the model (`tf_admm.channel_groups`), and is what `shrink`
            leaves, exactly, to within one channel: `macs` and `ratio` of the kernels,
            `bytes` of all weights as float32. One channel of each group stays at
            least; norms are compared by each group's average, and a method's unit is
            a channel. `constraint` isn't used.
        data: held-out data for `"sensitivity"`: `(x, y)`, `(x, y, sample_weight)`,
            or a dataset. The model must be compiled.
        cache: file for the losses that `"sensitivity"` measures; if they are there
            for the same weights, constraints, arrays and dense loss, they are not
            measured again.
        samples: inputs that say the sizes which the model leaves open, for `macs`.

    Returns:
        An `Allocation`, a dict from kernel paths to constraints; of channels, from
        names of groups to `GroupSparsity`.

    Raises:
        ValueError: if not one budget is given, or it can't be met; the message
            names the nearest one that can.
    """
    checks.check_built(model)
    name, budget = _budget(ratio=ratio, nonzeros=nonzeros, bytes=bytes, macs=macs)
    _check_method(model, method, data)
    if structure not in STRUCTURES:
        raise ValueError(
            f"Invalid value for argument `structure`. Expected one of {STRUCTURES}. "
            f"Received: structure={structure!r}"
        )
    if structure == "channels":
        result = Allocation(
            channels.allocate(
                model, name, budget, method, exclude, data, cache, samples
            )
        )
        plan(model, result)
        return result
    chosen, fixed = _divide(model, constraint, exclude)
    cost = BUDGETS[name](model, samples)
    shares = [sharing.Share(kernel, constraint, cost) for kernel in chosen]
    spent = sum(cost(kernel, kernel.size) for kernel in fixed)
    if name == "ratio":
        total = sum(kernel.size for kernel in (*chosen, *fixed))
        budget = total / budget
        _check_budget(shares, budget - spent, lambda c: total / (c + spent), name)
    else:
        _check_budget(shares, budget - spent, lambda c: c + spent, name)
    level = methods.METHODS[method](
        chosen,
        constraint,
        costs=[share.cost_of_density for share in shares],
        model=model,
        data=data,
        cache=cache,
    )
    kept = sharing.meet(shares, level, budget - spent)
    result = Allocation({s.kernel.path: s.constraint(k) for s, k in zip(shares, kept)})
    plan(model, result)
    return result


def _budget(**budgets):
    given = {name: value for name, value in budgets.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            f"Expected one budget of {list(budgets)}. Received: {given or 'none'}"
        )
    ((name, value),) = given.items()
    if not isinstance(value, numbers.Real) or not 0 < value < math.inf:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a positive number. "
            f"Received: {name}={value!r}"
        )
    return name, value


def _check_method(model, method, data):
    if method not in list(methods.METHODS):
        raise ValueError(
            "Invalid value for argument `method`. Expected one of "
            f"{list(methods.METHODS)}. Received: method={method}"
        )
    if method == "sensitivity" and (data is None or not model.compiled):
        raise ValueError(
            "Expected held-out `data` and a compiled model for "
            f"method='sensitivity'. Received: data={type(data)}, "
            f"model.compiled={model.compiled}"
        )


def _divide(model, family, exclude):
    """The kernels to share the budget, and those that stay as they are."""
    probe = _probe(family)
    if not isinstance(exclude, list | tuple | set):
        raise ValueError(
            "Invalid value for argument `exclude`. Expected a list of keys. Received: "
            f"exclude={exclude!r}"
        )
    found = kernels.find(model)
    selectors.check_keys(found, dict.fromkeys(exclude), "exclude")

    def unless_excluded(kernel):
        return None if any(selectors.matches(k, kernel) for k in exclude) else probe

    choices = selectors.choose(found, unless_excluded)
    chosen = [c.kernel for c in choices if c.constraint is not None]
    fixed = [c.kernel for c in choices if c.constraint is None]
    return chosen, fixed


def _probe(family):
    """The set of nothing zero."""
    try:
        probe = family(0.0)
    except TypeError as error:
        probe = error
    if not isinstance(probe, RateConstraint) or probe.sparsity:
        raise ValueError(
            "Invalid value for argument `constraint`. Expected a function from a "
            "sparsity to a `tf_admm.constraints.RateConstraint` of it. Received: "
            f"constraint={family}, which returns {probe!r} for 0.0"
        )
    return probe


def _check_budget(shares, budget, worded, name):
    least = sum(share.cost(share.floor) for share in shares)
    most = sum(share.cost(share.units) for share in shares)
    # The nearest, as it is printed, can be met.
    if not least * (1 - ROUNDING) <= budget <= most * (1 + ROUNDING):
        nearest = worded(least if budget < least else most)
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a budget that can be "
            f"met: the nearest is {name}={nearest:.12g}, at which "
            f"{'each kernel keeps its floor' if budget < least else 'nothing is zero'}"
            f". Received: {name}={worded(budget):.12g}"
        )
