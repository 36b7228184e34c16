"""One budget for a model, made into a constraint for each kernel."""

import math
import os
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import keras

from tf_admm import arguments
from tf_admm.allocation import channels
from tf_admm.allocation import methods
from tf_admm.allocation import weights
from tf_admm.allocation.table import Allocation
from tf_admm.constraints import RateConstraint
from tf_admm.constraints import Sparsity
from tf_admm.structure import checks
from tf_admm.tables.plan import plan

STRUCTURES = ("weights", "channels")


def allocate(
    model: keras.Model,
    *,
    ratio: float | None = None,
    nonzeros: int | None = None,
    bytes: int | None = None,
    macs: float | None = None,
    method: str = "magnitude",
    constraint: Callable[[float], RateConstraint] = Sparsity,
    exclude: Iterable[str] = (),
    include: Iterable[str] = (),
    structure: str = "weights",
    tile: int = 1,
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
        macs: float, multiplications of one sample that are left, or their share if at
            most 1.0; of a functional or sequential model.
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
            leaves, exactly, to within one channel or `tile`: `macs` and `ratio` of the
            kernels, `bytes` of all weights as float32. One channel of each group stays
            at least; norms are compared by each group's average, and a method's unit is
            a channel. `"sensitivity"` prunes each group until the loss, with it alone
            pruned, has risen by one share of what it rises at most. `constraint` isn't
            used.
        tile: int, of channels: a group keeps whole tiles of so many, or fewer than
            one. Runtimes compute the outputs of a layer in tiles, a part of one as
            long as the whole: 16 on x86, 8 on ARM. The budget is met from below, to
            within a tile.
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
    _check_tile(tile, structure)
    given = model, name, budget, method, exclude, samples
    measuring = {"data": data, "cache": cache, "verbose": verbose}
    if structure == "channels":
        _check_no_include(include)
        sets = channels.allocate(*given, tile, **measuring)
    else:
        sets = weights.allocate(*given, constraint, include, **measuring)
    result = Allocation(sets)
    plan(model, result, verbose=verbose)
    return result


def _budget(**budgets):
    given = {name: value for name, value in budgets.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            f"Expected one budget of {list(budgets)}. Received: {given or 'none'}"
        )
    ((name, value),) = given.items()
    if not arguments.is_real(value) or not 0 < value < math.inf:
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


def _check_tile(tile, structure):
    if not arguments.is_whole(tile) or tile < 1:
        raise ValueError(
            "Invalid value for argument `tile`. Expected a positive int. Received: "
            f"tile={tile!r}"
        )
    if tile > 1 and structure != "channels":
        raise ValueError(
            "Expected `tile` with structure='channels'. Received: "
            f"tile={tile}, structure={structure!r}"
        )


def _check_keys(name, keys):
    if not isinstance(keys, list | tuple | set):
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a list of keys. Received: "
            f"{name}={keys!r}"
        )


def _check_no_include(include):
    if include:
        raise ValueError(
            "Expected `include` with structure='weights', since channel groups take "
            f"their members whole. Received: include={include}"
        )
