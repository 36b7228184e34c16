"""One budget for a model, made into a constraint for each kernel."""

import math
import numbers
import os
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import keras

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
#: Parts that hold a budget up, in its message.
MOST_NAMED = 3
#: Relative; of a budget that has been printed.
ROUNDING = 1e-9


def allocate(
    model: keras.Model,
    *,
    ratio: float | None = None,
    nonzeros: int | None = None,
    bytes: int | None = None,
    macs: int | None = None,
    method: str = "magnitude",
    constraint: Callable[[float], RateConstraint] = Sparsity,
    exclude: Iterable[str] = (),
    include: Iterable[str] = (),
    structure: str = "weights",
    data: Any = None,
    cache: str | os.PathLike | None = None,
    samples: Any = None,
    verbose: int = 1,
) -> Allocation:
    """Turn one budget into a constraint for each kernel, and print the plan.

    The budget is met to within the cost of one unit of the set (a weight, a
    block, a filter), from below, over all kernels of the model; blocks that are
    cut off by the end of an axis cost as much as whole ones. Kernels that are
    excluded, untrainable, or pruned by name only (embeddings, and weights that no
    Keras layer calls a kernel) count as they are. Each kernel keeps as many
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
        include: keys of weights that the budget may be spent on besides, of those
            that are pruned by name only, such as `["token_embedding"]`; not for
            channels.
        structure: `"weights"`, or `"channels"`: the budget is spent over the channel
            groups of the model (`tf_admm.channel_groups`), and is what `shrink`
            leaves, exactly, to within one channel: `macs` and `ratio` of the kernels,
            `bytes` of all weights as float32. One channel of each group stays at
            least; norms are compared by each group's average, and a method's unit is
            a channel. `"sensitivity"` prunes each group as far as the loss with it
            alone pruned stays within a bound, the same for all. `constraint` isn't
            used.
        data: held-out data for `"sensitivity"`: `(x, y)`, `(x, y, sample_weight)`,
            or a dataset. The model must be compiled.
        cache: file for the losses that `"sensitivity"` measures; if they are there
            for the same weights, constraints, arrays and dense loss, they are not
            measured again.
        samples: inputs that say the sizes which the model leaves open, for `macs`.
        verbose: 0 not to print the plan.

    Returns:
        An `Allocation`, a dict from kernel paths to constraints; of channels, from
        names of groups to `GroupSparsity`.

    Raises:
        ValueError: if not one budget is given, or it can't be met; the message
            names the nearest one that can, and the largest parts that hold it up; or
            if a weight of `include` costs the same however many zeros it has, such as
            a table of embeddings in `bytes`.
    """
    checks.check_built(model)
    name, budget = _budget(ratio=ratio, nonzeros=nonzeros, bytes=bytes, macs=macs)
    _check_method(model, method, data)
    if structure not in STRUCTURES:
        raise ValueError(
            f"Invalid value for argument `structure`. Expected one of {STRUCTURES}. "
            f"Received: structure={structure!r}"
        )
    _check_keys("exclude", exclude)
    _check_keys("include", include)
    if structure == "channels":
        if include:
            raise ValueError(
                "Expected `include` with structure='weights', since channel groups "
                f"take their members whole. Received: include={include}"
            )
        result = Allocation(
            channels.allocate(
                model, name, budget, method, exclude, data, cache, samples, verbose
            )
        )
        plan(model, result, verbose=verbose)
        return result
    chosen, fixed = _divide(model, constraint, exclude, include)
    cost = BUDGETS[name](model, samples)
    shares = [sharing.Share(kernel, constraint, cost) for kernel in chosen]
    _check_saves(shares, name)
    spent = sum(cost(kernel, kernel.size) for kernel in fixed)
    if name == "ratio":
        total = sum(kernel.size for kernel in (*chosen, *fixed))
        budget = total / budget

        def worded(c):
            return total / (c + spent)
    else:

        def worded(c):
            return c + spent

    held = [
        (cost(kernel, kernel.size), kernel, _why(kernel, exclude)) for kernel in fixed
    ]
    _check_budget(shares, budget - spent, worded, name, held)
    level = methods.METHODS[method](
        chosen,
        constraint,
        costs=[share.cost_of_density for share in shares],
        model=model,
        data=data,
        cache=cache,
        verbose=verbose,
    )
    kept = sharing.meet(shares, level, budget - spent)
    result = Allocation({s.kernel.path: s.constraint(k) for s, k in zip(shares, kept)})
    plan(model, result, verbose=verbose)
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


def _check_keys(name, keys):
    if not isinstance(keys, list | tuple | set):
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a list of keys. Received: "
            f"{name}={keys!r}"
        )


def _divide(model, family, exclude, include):
    """The kernels to share the budget, and those that stay as they are."""
    probe = _probe(family)
    found = kernels.find(model)
    selectors.check_keys(found, dict.fromkeys(exclude), "exclude")
    selectors.check_keys(found, dict.fromkeys(include, probe), "include")

    def may_be_pruned(kernel):
        return not _is_any(exclude, kernel) and (
            not kernel.by_name_only or _is_any(include, kernel)
        )

    wanted = {k.path: probe if may_be_pruned(k) else None for k in found}
    choices = selectors.choose(found, wanted) if found else []
    chosen = [c.kernel for c in choices if c.constraint is not None]
    fixed = [c.kernel for c in choices if c.constraint is None]
    return chosen, fixed


def _is_any(keys, kernel):
    return any(selectors.matches(key, kernel) for key in keys)


def _why(kernel, exclude):
    """Why a kernel stays as it is."""
    if _is_any(exclude, kernel):
        return "excluded"
    if not kernel.variable.trainable:
        return "not trainable"
    return f"can't be chosen unless `include={[min(kernel.names(), key=len)]}`"


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


def _check_saves(shares, name):
    for share in shares:
        if share.kernel.by_name_only and share.cost(share.floor) >= share.cost(
            share.units
        ):
            raise ValueError(
                "Invalid value for argument `include`. Expected weights whose zeros "
                f"the budget `{name}` counts. Received: '{share.kernel.path}', which "
                f"costs {share.cost(share.units):,} however many zeros it has"
            )


def _check_budget(shares, budget, worded, name, held):
    least = sum(share.cost(share.floor) for share in shares)
    most = sum(share.cost(share.units) for share in shares)
    # The nearest, as it is printed, can be met.
    if not least * (1 - ROUNDING) <= budget <= most * (1 + ROUNDING):
        if budget < least:
            floors = [(s.cost(s.floor), s.kernel, "its floor") for s in shares]
            end = f"each kernel keeps its floor; {_largest(held, floors, shares)}"
        else:
            end = "nothing is zero"
        nearest = worded(least if budget < least else most)
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a budget that can be "
            f"met: the nearest is {name}={nearest:.12g}, at which {end}. "
            f"Received: {name}={worded(budget):.12g}"
        )


def _largest(held, floors, shares):
    """What costs most where the budget can't go lower."""
    total = sum(cost for cost, *_ in held) + sum(s.cost(s.units) for s in shares)
    parts = sorted(held + floors, key=lambda part: -part[0])[:MOST_NAMED]
    named = [
        f"'{kernel.path}' ({cost:,}, {cost / max(total, 1):.0%} of all): {why}"
        for cost, kernel, why in parts
    ]
    return "what is left most of: " + "; ".join(named)
