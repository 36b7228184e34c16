"""What several weights that share a set keep, settled together.

What they lose is added up, each as a share of its own: of what its layer puts out,
where that is known (`Known`), and else of its norm (`Unknown`).
"""

import math

import numpy as np
from keras import ops


class Known:
    """A kernel whose problem of least squares is known.

    Args:
        problem: the `Problem`.
        item: the kernel, or a member of groups, in whose order the set sees it.
    """

    def __init__(self, problem, item):
        self._problem, self._item = problem, item
        self._size = math.sqrt(problem.energy(problem.w)) or 1.0

    def worths(self):
        """Those of `Problem.worths`, as the set sees them."""
        return [
            self._item.canonical(self._problem.joined(worth / self._size))
            for worth in self._problem.worths()
        ]

    def loss(self, constraint, settled):
        """Before least squares, which makes up for some of it."""
        v = self._item.canonical(self._problem.joined(self._problem.w))
        v = self._item.original(constraint.restrict(v, settled))
        return self._problem.loss(self._problem.split(v))


class Unknown:
    """Another weight: `||W - V||^2 / ||W||^2`, as if its inputs were all alike."""

    def __init__(self, item):
        self._v = _seen(item)
        self._size = float(ops.norm(ops.reshape(self._v, (-1,)))) or 1.0

    def worths(self):
        return [self._v / self._size] * 2

    def loss(self, constraint, settled):
        lost = self._v - constraint.restrict(self._v, settled)
        return float(np.sum(ops.convert_to_numpy(lost / self._size) ** 2))


def settled(constraint, items, shares):
    """The settled parts with which the weights lose least in sum.

    Of three: by magnitude, and by each of the `worths`.

    Args:
        constraint: the set.
        items: list of kernels or members of groups.
        shares: for each, its `Known` or `Unknown`.
    """
    vs = [_seen(item) for item in items]
    tried = [vs, *zip(*(share.worths() for share in shares), strict=True)]
    return min(
        (constraint.settle(vs, list(worths)) for worths in tried),
        key=lambda parts: sum(
            share.loss(constraint, part) for share, part in zip(shares, parts)
        ),
    )


def _seen(item):
    # PyTorch warns of numbers that are read off what has a gradient.
    return item.canonical(ops.stop_gradient(ops.convert_to_tensor(item.variable)))
