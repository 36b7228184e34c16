"""One budget spent over single kernels."""

from tf_admm.allocation import costs
from tf_admm.allocation import methods
from tf_admm.allocation import shares as sharing
from tf_admm.allocation.budget import Budget
from tf_admm.constraints import RateConstraint
from tf_admm.structure import kernels
from tf_admm.structure import selectors

BUDGETS = {
    "ratio": costs.Nonzeros,
    "nonzeros": costs.Nonzeros,
    "bytes": costs.Bytes,
    "macs": costs.MACs,
}
#: Parts that hold a budget up, in its message.
MOST_NAMED = 3


def allocate(
    model, name, budget, method, exclude, samples, constraint, include, **measuring
):
    """The set of each kernel, by its path, that meets a budget.

    Args:
        name: one of `BUDGETS`.
        budget: its value.
        measuring: `data`, `cache` and `verbose`, for `"sensitivity"`.
    """
    chosen, fixed = _divide(model, constraint, exclude, include)
    cost = BUDGETS[name](model, samples)
    shares = [sharing.Share(kernel, constraint, cost) for kernel in chosen]
    _check_saves(shares, name)
    spent = sum(cost(kernel, kernel.size) for kernel in fixed)
    full = spent + sum(cost(kernel, kernel.size) for kernel in chosen)
    limit = Budget(name, budget, full)
    held = [
        (cost(kernel, kernel.size), kernel, _why(kernel, exclude)) for kernel in fixed
    ]
    _check_budget(shares, limit, spent, held)
    level = methods.METHODS[method](
        chosen,
        constraint,
        costs=[share.cost_of_density for share in shares],
        model=model,
        **measuring,
    )
    kept = sharing.meet(shares, level, limit.cost - spent)
    return {s.kernel.path: s.constraint(k) for s, k in zip(shares, kept)}


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


def _check_budget(shares, limit, spent, held):
    def why(too_small):
        if not too_small:
            return "nothing is zero"
        floors = [(s.cost(s.floor), s.kernel, "its floor") for s in shares]
        return f"each kernel keeps its floor; {_largest(held, floors, shares)}"

    least = sum(share.cost(share.floor) for share in shares)
    most = sum(share.cost(share.units) for share in shares)
    limit.check(spent + least, spent + most, why)


def _largest(held, floors, shares):
    """What costs most where the budget can't go lower."""
    total = sum(cost for cost, *_ in held) + sum(s.cost(s.units) for s in shares)
    parts = sorted(held + floors, key=lambda part: -part[0])[:MOST_NAMED]
    named = [
        f"'{kernel.path}' ({cost:,}, {cost / max(total, 1):.0%} of all): {why}"
        for cost, kernel, why in parts
    ]
    return "what is left most of: " + "; ".join(named)
