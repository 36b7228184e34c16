"""ADMM with the exact W-update, and least squares on what it settled.

In the scaled weights `D W`, D^2 = diag G, the updates are

    W <- (G + rho D^2)^-1 (G W_0 + rho D^2 (Z - U))
    Z <- Pi_S(W + U), U <- U + W - Z,

Pi_S in the norm of D. rho grows while the index set still changes, fast and then
slowly.

Reference: ALPS, Meng et al., 2024, arXiv:2406.07831, algorithm 1.
"""

import numpy as np

from tf_admm.admm import updates

#: Of ADMM at most, and of the conjugate gradients.
STEPS, REFINEMENTS = 100, 20
#: rho, as the diagonal of G is 1, and by how much it grows, by the share of the index
#: set that changed.
RHO, GROWTH = 0.1, ((0.1, 1.3), (0.005, 1.2), (0.0, 1.1))


class Solved:
    """The best member of a set that was found for one kernel.

    Least squares starts from the nearest member to the trained kernel, by magnitude;
    from those with the largest `Problem.worths`; and from the end of ADMM. The best end
    is no worse than any of them.

    Args:
        problem: the `Problem`.
        item: the kernel, or a member of groups, in whose order the set sees it.
        constraint: the set.
        settled: what is settled already, or `None`.

    Attributes:
        v: array `(groups, inputs, outputs)`.
        loss: its loss.
        projected: the loss of the nearest member to the trained kernel.
    """

    def __init__(self, problem, item, constraint, settled):
        self._problem, self._item, self._constraint = problem, item, constraint
        starts = [*(self._found() if settled is None else self._given(settled))]
        self.projected = problem.loss(starts[0][0])
        ends = [self._refined(*start) for start in starts]
        self.v = min(ends, key=problem.loss)
        self.loss = problem.loss(self.v)

    def _found(self):
        """`(member, settled part)` of each start."""
        w, trained = self._problem.w, self._problem.trained
        yield self._nearest(trained, trained)
        for worth in self._problem.worths():
            yield self._nearest(w, worth)
        yield admm(self._problem, self._nearest)

    def _given(self, settled):
        for v in (self._problem.trained, self._problem.w):
            yield self._restrict(v, settled), settled

    def _nearest(self, v, worth):
        (settled,) = self._constraint.settle([self._seen(v)], [self._seen(worth)])
        return self._restrict(v, settled), settled

    def _refined(self, z, settled):
        return refine(self._problem, z, lambda v: self._restrict(v, settled))

    def _seen(self, x):
        return self._item.canonical(self._problem.joined(x))

    def _restrict(self, v, settled):
        restricted = self._constraint.restrict(self._seen(v), settled)
        return self._problem.split(self._item.original(restricted))


def admm(problem, nearest):
    """Run ADMM.

    Args:
        problem: the `Problem`.
        nearest: function from `w + u` and `D (w + u)` to `(z, settled part)`, arrays
            like `problem.w` but for the last.

    Returns:
        The last `(z, settled part)`.
    """
    d = problem.scales
    values, vectors = np.linalg.eigh(problem.gram / d / d.transpose(0, 2, 1))
    values, back = values[..., None], vectors.transpose(0, 2, 1)
    # In the eigenvectors of the scaled G.
    target = values * (back @ (d * problem.w))
    z, settled = nearest(problem.w, d * problem.w)
    u, rho = np.zeros_like(z), RHO
    for _ in range(STEPS):
        pulled = rho * (back @ (d * (z - u)))
        w = vectors @ ((target + pulled) / (values + rho)) / d
        before = z
        z, settled = nearest(w + u, d * (w + u))
        u = u + w - z
        changed = np.mean((z != 0) != (before != 0)) / max(np.mean(z != 0), 1e-9)
        if changed == 0 and np.allclose(z, before, rtol=1e-3, atol=0):
            break
        grown = rho * next(factor for share, factor in GROWTH if changed >= share)
        u, rho = u * updates.rescaling(rho, grown), grown
    return z, settled


def refine(problem, z, restrict):
    """The least loss among what has the same settled part as z.

    Conjugate gradients, preconditioned by the diagonal of G, in the linear subspace
    that `restrict` projects on.
    """
    v = z
    residual = restrict(problem.gram @ (problem.w - v))
    inverse = 1.0 / problem.scales**2
    direction = towards = restrict(inverse * residual)
    size = np.vdot(residual, towards)
    for _ in range(REFINEMENTS):
        curved = restrict(problem.gram @ direction)
        bend = np.vdot(direction, curved)
        if size <= 0 or bend <= 0:
            break
        v = v + size / bend * direction
        residual = residual - size / bend * curved
        towards = restrict(inverse * residual)
        before, size = size, np.vdot(residual, towards)
        direction = towards + size / before * direction
    return v if problem.loss(v) <= problem.loss(z) else z
