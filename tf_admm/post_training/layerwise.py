"""Layer by layer: each is pruned on what it reads from those before it."""

import numpy as np
from keras import ops

from tf_admm.constraints import sharing
from tf_admm.export.tflite import states
from tf_admm.post_training import checking
from tf_admm.post_training import problem as problems
from tf_admm.post_training import solving
from tf_admm.post_training import together
from tf_admm.post_training.report import Row
from tf_admm.post_training.watching import watched
from tf_admm.structure import kernels
from tf_admm.structure import members


class Pass:
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
        #: What each layer is called on, by its id, in the order of the first calls.
        self._calls = {}
        self._settled, self._rows = {}, {}

    def run(self, samples):
        """The rows, in the order of the calls."""
        with watched(self._watched, self._record):
            self._try(samples)
        for constraint, items in self._together:
            if constraint.coupled and len(items) > 1:
                self._settle_together(constraint, items)
        for group in self._groups:
            members.silence(group)
        for key in self._asked:
            if not self._is_solvable(key):
                self._project(key)
        with watched(self._watched, self._prune):
            self._call(samples)
        return [self._rows[key] for key in self._in_order()]

    def _call(self, samples):
        """Call the model, whose states are as they were after it."""
        # What is pruned meanwhile is trainable, and stays.
        with states.fresh(self._model):
            self._model(samples, training=False)

    def _try(self, samples):
        with checking.called(self._model, samples):
            self._call(samples)

    def _record(self, layer, x):
        self._calls.setdefault(id(layer), []).append(problems.numbers(x))

    def _called(self, key):
        kernel, *_ = self._asked[key]
        return self._calls.get(id(kernel.layer), [])

    def _is_solvable(self, key):
        kernel, *_ = self._asked[key]
        return problems.is_solvable(kernel, self._called(key))

    def _in_order(self):
        """The keys, in the order of the calls; what was never called comes last."""
        places = {layer: place for place, layer in enumerate(self._calls)}
        return sorted(
            self._asked,
            key=lambda key: places.get(id(self._asked[key][0].layer), len(places)),
        )

    def _settle_together(self, constraint, items):
        """Settle a set that several weights share, and cut them to it."""
        shares = [self._share(item) for item in items]
        parts = together.settled(constraint, items, shares)
        for item, part in zip(items, parts):
            self._settled[id(item.variable)] = part
            v = item.canonical(ops.convert_to_tensor(item.variable))
            item.variable.assign(item.original(constraint.restrict(v, part)))

    def _share(self, item):
        key = id(item.variable)
        if key in self._asked and self._is_solvable(key):
            return together.Known(self._problem(key, self._called(key)), item)
        return together.Unknown(item)

    def _problem(self, key, calls):
        kernel, *_ = self._asked[key]
        found = problems.products(kernel, calls, self._called(key))
        return problems.Problem(kernel, self._trained[key], *found)

    def _prune(self, layer, x):
        for key, (kernel, *_) in self._asked.items():
            if kernel.layer is layer and key not in self._rows:
                self._solve(key, x)

    def _solve(self, key, x):
        _, item, constraint = self._asked[key]
        trained = self._called(key)
        # Of a shared layer only the first call is known yet.
        calls = [problems.numbers(x)] if len(trained) == 1 else trained
        problem = self._problem(key, calls)
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
