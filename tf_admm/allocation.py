"""One budget for a model, made into a constraint for each kernel."""

import json
import math

import keras

from tf_admm import costs
from tf_admm import files
from tf_admm import kernels
from tf_admm import methods
from tf_admm import plans
from tf_admm import selectors
from tf_admm.constraints import RateConstraint
from tf_admm.constraints import SetConstraint
from tf_admm.constraints import Sparsity

BUDGETS = {
    "ratio": costs.Nonzeros,
    "nonzeros": costs.Nonzeros,
    "bytes": costs.Bytes,
    "macs": costs.MACs,
}
#: Of the names under which Keras knows the constraints of this package.
PREFIX = "tf_admm>"
#: A key that matches every kernel, and is not likely to be among those excluded.
REST = "(?s:.*)"
#: Halvings of the interval of the level at which the budget is met.
HALVINGS = 60


class Allocation(dict):
    """A constraint for each kernel, by path: what `ADMMModel` takes.

    Edit it as a dict, or in the JSON file that `save` writes and `load` reads,
    `{"fc1/kernel": {"Sparsity": {"sparsity": 0.9}}, ...}`. Keys may be all that
    `ADMMModel` takes, and `null` excludes. Kernels under one key share its
    constraint.
    """

    def save(self, path):
        """Write it as JSON.

        Raises:
            ValueError: if one object stands under several keys, which the file could
                not say; put it under one regular expression.
        """
        objects = [id(value) for value in self.values() if value is not None]
        if len(set(objects)) < len(objects):
            raise ValueError(
                "Expected a constraint of its own under each key. Received: one that "
                f"several share, in {dict(self)}. Put their names into one key, as in "
                "'fc1|fc2'."
            )
        files.save_json({key: _described(value) for key, value in self.items()}, path)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Raises:
            ValueError: if an entry is no constraint.
        """
        with open(path) as file:
            record = json.load(file)
        return cls({key: _constraint(key, value) for key, value in record.items()})


def _described(value):
    """A constraint as its name and arguments, down to plain JSON."""
    if not isinstance(value, SetConstraint):
        return value
    name = keras.saving.get_registered_name(type(value)).removeprefix(PREFIX)
    return {name: {key: _described(getattr(value, key)) for key in value.get_config()}}


def _constraint(key, description):
    if description is None:
        return None
    try:
        constraint = _built(description)
    except (AttributeError, TypeError, ValueError) as error:
        constraint, problem = None, f" ({error})"
    else:
        problem = ""
    if not isinstance(constraint, SetConstraint):
        raise ValueError(
            f"Expected the entry of {key!r} to be null, or the name of a constraint "
            'with its arguments, such as {"Sparsity": {"sparsity": 0.9}}. Received: '
            f"{description}{problem}"
        )
    return constraint


def _built(value):
    """The inverse of `_described`."""
    if not isinstance(value, dict):
        return value
    ((name, arguments),) = value.items()
    cls = keras.saving.get_registered_object(name if ">" in name else PREFIX + name)
    return cls(**{key: _built(argument) for key, argument in arguments.items()})


class _Share:
    """What one kernel may get.

    Attributes:
        units: number of its units.
        floor: the least number of them that is kept.
    """

    def __init__(self, kernel, family, cost):
        self.kernel = kernel
        self.family = family
        self._cost = cost
        constraint = family(0.0)
        constraint.check([kernel.shape])
        self.units = constraint.units(kernel.shape)
        self._size = math.prod(constraint.unit(kernel.shape))
        # A weight for each output, so that none need be cut off.
        self.floor = min(self.units, math.ceil(kernel.shape[-1] / self._size))

    def cost(self, kept):
        """What so many units cost."""
        weights = min(kept * self._size, self.kernel.size)
        return self._cost(self.kernel, weights)

    def cost_of_density(self, density):
        return self.cost(self.kept(density))

    def kept(self, density):
        """So much of the units, but no fewer than the floor."""
        return max(self.floor, min(self.units, math.floor(density * self.units + 1e-9)))

    def constraint(self, kept):
        return self.family(1.0 - kept / self.units)


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
    data=None,
    cache=None,
):
    """Turn one budget into a constraint for each kernel, and print the plan.

    The budget is met to within the cost of one unit of the set (a weight, a
    block, a filter), from below, over all kernels of the model; blocks that are
    cut off by the end of an axis cost as much as whole ones. Kernels that are
    excluded, frozen or embeddings count as they are. Each kernel keeps as many
    weights as it has outputs, or a unit if that is more.

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
        exclude: keys of kernels to leave alone, as in `ADMMModel`.
        data: held-out data for `"sensitivity"`: `(x, y)`, or a dataset. The
            model must be compiled.
        cache: file for the losses that `"sensitivity"` measures; if they are there
            for the same weights, constraints and dense loss, they are not measured
            again.

    Returns:
        An `Allocation`, a dict from kernel paths to constraints.

    Raises:
        ValueError: if not one budget is given, or it can't be met; the message
            names the nearest one that can.
    """
    name, budget = _budget(ratio=ratio, nonzeros=nonzeros, bytes=bytes, macs=macs)
    _check_method(model, method, data)
    chosen, fixed = _divide(model, constraint, exclude)
    cost = BUDGETS[name](model)
    shares = [_Share(kernel, constraint, cost) for kernel in chosen]
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
    kept = _meet(shares, level, budget - spent)
    result = Allocation({s.kernel.path: s.constraint(k) for s, k in zip(shares, kept)})
    plans.plan(model, result)
    return result


def _budget(**budgets):
    given = {name: value for name, value in budgets.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            f"Expected one budget of {list(budgets)}. Received: {given or 'none'}"
        )
    ((name, value),) = given.items()
    if not value > 0 or not math.isfinite(value):
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a positive number. "
            f"Received: {name}={value}"
        )
    return name, value


def _check_method(model, method, data):
    if method not in methods.METHODS:
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
    probe = family(0.0)
    if not isinstance(probe, RateConstraint):
        raise ValueError(
            "Invalid value for argument `constraint`. Expected a function from a "
            "sparsity to a `tf_admm.constraints.RateConstraint`. Received: "
            f"constraint={family}, which returns {probe}"
        )
    if isinstance(exclude, str):
        raise ValueError(
            "Invalid value for argument `exclude`. Expected a list of keys. Received: "
            f"exclude={exclude!r}"
        )
    found = kernels.find(model)
    selection = {**dict.fromkeys(exclude), REST: probe}
    choices = selectors.choose(found, selection)
    chosen = [c.kernel for c in choices if c.constraint is not None]
    fixed = [c.kernel for c in choices if c.constraint is None]
    return chosen, fixed


def _check_budget(shares, budget, worded, name):
    least = sum(share.cost(share.floor) for share in shares)
    most = sum(share.cost(share.units) for share in shares)
    if not least <= budget <= most:
        nearest = worded(least if budget < least else most)
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a budget that can be "
            f"met: the nearest is {name}={nearest:.6g}, at which "
            f"{'each kernel keeps its floor' if budget < least else 'nothing is zero'}"
            f". Received: {name}={worded(budget):.6g}"
        )


def _meet(shares, level, budget):
    """Units kept of each, the most that the budget allows at the level."""

    def kept(t):
        return [share.kept(density) for share, density in zip(shares, level(t))]

    def cost(counts):
        return sum(share.cost(count) for share, count in zip(shares, counts))

    low, high = 0.0, 1.0
    if cost(kept(high)) <= budget:
        low = high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if cost(kept(middle)) <= budget:
            low = middle
        else:
            high = middle
    # What is left of the budget goes to the kernels that would get more next.
    counts, more = kept(low), kept(high)
    for i, share in enumerate(shares):
        left = budget - cost(counts) + share.cost(counts[i])
        counts[i] = _most(share, counts[i], max(counts[i], more[i]), left)
    return counts


def _most(share, low, high, budget):
    """The most units from low to high whose cost is within the budget."""
    while low < high:
        middle = (low + high + 1) // 2
        if share.cost(middle) <= budget:
            low = middle
        else:
            high = middle - 1
    return low
