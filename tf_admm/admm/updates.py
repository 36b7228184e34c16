"""The algebra of ADMM on tensors.

With scaled dual U = Lambda / rho, the augmented Lagrangian of

    minimise f(W) + g(Z)  subject to  W = Z

is minimised over W (by SGD on f plus `penalty`), then over Z, and U ascends:

    W <- argmin_W f(W) + rho/2 ||W - Z + U||_F^2
    Z <- Pi_S(W + U)
    U <- U + W - Z

References: Boyd et al., 2011, doi:10.1561/2200000016, sections 3.1.1 and 3.3;
Zhang et al., 2018, arXiv:1804.03294, section 3.
"""

import math

from keras import ops


def penalty(w, z, u, rho):
    """`rho/2 ||w - z + u||_F^2`, what the W-step adds to the loss."""
    return 0.5 * rho * ops.sum(ops.square(w - z + u))


def dual_step(v, z):
    """The U-step, `u + w - z`, from `v = w + u`; exactly 0.0 where z is v."""
    return v - z


def rescale_dual(u, old_rho, new_rho):
    """Keep `Lambda = rho * u` when rho changes; `u` is 0 where rho is 0."""
    return u * (old_rho / new_rho if new_rho > 0.0 else 0.0)


def residuals(w, z, previous, rho):
    """Primal and dual residuals over all kernels, absolute and relative.

    Args:
        w, z, previous: lists of tensors: the kernels, their projections, and
            the projections before these.
        rho: float.

    Returns:
        Floats `(||w - z||, rho ||z - previous||, ||w - z|| / max(||w||, ||z||),
        ||z - previous|| / ||z||)`; 0 / 0 counts as 0, and anything else
        over 0 as infinity.
    """
    gap = norm(a - b for a, b in zip(w, z))
    moved = norm(a - b for a, b in zip(z, previous))
    size = norm(z)
    return (
        gap,
        rho * moved,
        _ratio(gap, max(norm(w), size)),
        _ratio(moved, size),
    )


def changed(z, previous):
    """Share of the nonzeros of z that were 0.0 before, over all kernels, a float."""
    new = sum(int(ops.sum((a != 0) & (b == 0))) for a, b in zip(z, previous))
    return new / max(1, sum(int(ops.count_nonzero(a)) for a in z))


def norm(tensors):
    """Euclidean norm over all entries of several tensors, a float."""
    return math.sqrt(sum(float(ops.sum(ops.square(t))) for t in tensors))


def _ratio(a, b):
    if b == 0.0:
        return math.inf if a > 0.0 else 0.0
    return a / b
