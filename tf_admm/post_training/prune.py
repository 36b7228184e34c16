"""Pruning layer by layer, each on what it reads from those before it."""

import math
import time
from typing import Any

import keras
import numpy as np
from keras import ops

from tf_admm.constraints import GlobalSparsity
from tf_admm.constraints import sharing
from tf_admm.post_training import checking
from tf_admm.post_training import problem as problems
from tf_admm.post_training import solving
from tf_admm.post_training.report import PostTrainingReport
from tf_admm.post_training.report import Row
from tf_admm.post_training.watching import watched
from tf_admm.printing import shown
from tf_admm.structure import checks
from tf_admm.structure import kernels
from tf_admm.structure import members


def prune_post_training(
    model: keras.Model,
    samples: Any,
    constraints: Any = None,
    *,
    sparsity: float | None = None,
    verbose: int = 1,
) -> tuple[keras.Model, PostTrainingReport]:
    """Prune a trained model on a few hundred inputs: no labels, no training.

    Layer by layer, in the order of their calls, each kernel W_0 becomes the V in its
    set for which

        ||X_0 W_0 - X V||_F^2

    is least, X_0 what the layer read in the trained model, X what it reads in the model
    pruned so far. ADMM with the exact W-update settles what is kept, and least squares
    what it is. Dense, EinsumDense, convolutions and depthwise ones are solved so; other
    kernels are projected. Kernels that share a set, and channel groups, are settled
    together, by |v| times the size of its input, and then solved.

    The model is pruned in place. Deploy it; or go on with `ADMMModel`, or with
    `freeze_sparsity` and `fit`.

    Args:
        model: a built Keras model, trained.
        samples: inputs in the structure of the model's, a few hundred, as arrays. All
            of them go through the model at once.
        constraints: as in `ADMMModel`.
        sparsity: float in [0, 1), in place of `constraints`: the fraction of zeros of
            all kernels together.
        verbose: 0 to print nothing.

    Returns:
        `(model, report)`: the same model, and a `PostTrainingReport`.

    Raises:
        ValueError: as `ADMMModel`; if the samples don't fit the model, or aren't
            finite, or kernels aren't. The model is as it was then.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
    >>> samples = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    >>> half = tf_admm.constraints.Sparsity(0.5)
    >>> model, report = tf_admm.prune_post_training(model, samples, half, verbose=0)
    >>> report.rows[0].kept, report.rows[0].loss < report.rows[0].projected
    (64, True)

    Reference: ALPS, Meng et al., 2024, arXiv:2406.07831.
    """
    start = time.monotonic()
    checks.check_built(model)
    samples = checking.checked(model, samples)
    matched = members.match(model, _of(constraints, sparsity))
    checking.check_finite([*kernels.find(model), *(item for item, _ in matched)])
    before = model.get_weights()
    try:
        rows = _Pass(model, matched).run(samples)
    except BaseException:
        model.set_weights(before)
        raise
    return model, shown(PostTrainingReport(rows, time.monotonic() - start), verbose)


def _of(constraints, sparsity):
    if (constraints is None) == (sparsity is None):
        raise ValueError(
            "Expected either `constraints` or `sparsity`. Received: "
            f"constraints={constraints}, sparsity={sparsity}"
        )
    return constraints if sparsity is None else GlobalSparsity(sparsity)


class _Pass:
    """A call of the model, in which each layer is pruned just before it is called.

    Args:
        model: the model.
        matched: the `Matched`, list of `(kernel or member, set)`.
    """

    def __init__(self, model, matched):
        self._model = model
        self._groups = matched.groups
        self._together = sharing.together(matched)
        kernel_of = {id(k.variable): k for k in kernels.find(model)}
        #: By the id of the variable, `(kernel, item, set)` of what has a kernel.
        self._asked = {
            id(item.variable): (kernel_of[id(item.variable)], item, constraint)
            for item, constraint in matched
            if id(item.variable) in kernel_of
        }
        self._watched = [kernel.layer for kernel, _, _ in self._asked.values()]
        self._trained = {
            key: ops.copy(item.variable) for key, (_, item, _) in self._asked.items()
        }
        self._calls = {id(layer): [] for layer in self._watched}
        self._settled, self._rows = {}, {}

    def run(self, samples):
        """The rows, in the order of the calls."""
        with watched(self._watched, lambda layer, x: self._calls[id(layer)].append(x)):
            self._try(samples)
        for constraint, items in self._together:
            if len(items) > 1:
                self._settle_together(constraint, items)
        for group in self._groups:
            members.silence(group)
        with watched(self._watched, self._prune):
            self._model(samples, training=False)
        for key in self._asked:
            self._prune_by(key, None)
        return list(self._rows.values())

    def _try(self, samples):
        try:
            self._model(samples, training=False)
        except Exception as error:
            raise ValueError(
                f"Expected `samples` that the model '{self._model.name}' can be called "
                f"on. Received: {checking.described(samples)}; the call raised "
                f"{type(error).__name__}: {error}"
            ) from error

    def _settle_together(self, constraint, items):
        """Settle a set that several weights share, and cut them to it."""
        vs = [item.canonical(ops.convert_to_tensor(item.variable)) for item in items]
        worths = [self._worth(item, v) for item, v in zip(items, vs)]
        for item, v, part in zip(items, vs, constraint.settle(vs, worths)):
            self._settled[id(item.variable)] = part
            item.variable.assign(item.original(constraint.restrict(v, part)))

    def _worth(self, item, v):
        """|v| times the size of its input, over that of the layer's outputs."""
        kernel, *_ = self._asked.get(id(item.variable), (None,))
        calls = kernel and self._calls[id(kernel.layer)]
        found = problems.products(kernel, calls, calls) if calls else None
        if found is None:
            return v
        problem = problems.Problem(kernel, item.variable, *found)
        size = math.sqrt(problem.energy(problem.w)) or 1.0
        return item.canonical(problem.joined(problem.scales * problem.w / size))

    def _prune(self, layer, x):
        for key, (kernel, *_) in self._asked.items():
            if kernel.layer is layer:
                self._prune_by(key, x)

    def _prune_by(self, key, x):
        """Prune one kernel, unless it has been, on `x` or all that it was called on."""
        if key in self._rows:
            return
        kernel, item, constraint = self._asked[key]
        trained = self._calls[id(kernel.layer)]
        # Of a shared layer only the first call is known yet.
        calls = [x] if len(trained) == 1 else trained
        found = problems.products(kernel, calls, trained) if trained else None
        if found is None:
            self._project(key)
            return
        problem = problems.Problem(kernel, self._trained[key], *found)
        solved = solving.Solved(problem, item, constraint, self._settled.get(key))
        item.variable.assign(problem.joined(solved.v))
        self._note(key, solved.projected, solved.loss)

    def _project(self, key):
        _, item, constraint = self._asked[key]
        v = item.canonical(self._trained[key])
        settled = self._settled.get(key)
        if settled is None:
            (settled,) = constraint.settle([v])
        item.variable.assign(item.original(constraint.restrict(v, settled)))
        self._note(key, None, None)

    def _note(self, key, projected, loss):
        kernel, item, _ = self._asked[key]
        kept = int(np.count_nonzero(ops.convert_to_numpy(item.variable)))
        self._rows[key] = Row(kernel.path, kept, kernel.size, projected, loss)
