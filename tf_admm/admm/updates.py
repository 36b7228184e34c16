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


def pull(w, z, u, rho):
    """`rho (w - z + u)`, its gradient."""
    return rho * (w - z + u)


def dual_step(v, z):
    """The U-step, `u + w - z`, from `v = w + u`; exactly 0.0 where z is v."""
    return v - z


def rescaling(old_rho, new_rho):
    """By what u is multiplied to keep `Lambda = rho * u`; u is 0 where rho is 0."""
    return old_rho / new_rho if new_rho > 0.0 else 0.0


def sums(w, z, previous):
    """What residuals are made of, for one kernel; add them up over all.

    Args:
        w, z, previous: tensors: the kernel, its projection, and the one before it.

    Returns:
        Tensor of shape `(7,)`: `||w - z||^2`, `||z - previous||^2`, `||w||^2`,
        `||z||^2`, how many nonzeros of z were 0.0 before, how many zeros were nonzero,
        and how many nonzeros there are.
    """
    nonzero, was = z != 0, previous != 0
    new = ops.logical_and(nonzero, ops.logical_not(was))
    gone = ops.logical_and(was, ops.logical_not(nonzero))
    squares = [ops.sum(ops.square(x)) for x in (w - z, z - previous, w, z)]
    counts = [ops.sum(ops.cast(x, w.dtype)) for x in (new, gone, nonzero)]
    return ops.stack([*squares, *counts])


def residuals(sums, rho):
    """Primal and dual residuals over all kernels, absolute and relative.

    Args:
        sums: as the function `sums` has them, added up, as floats.
        rho: float.

    Returns:
        Floats `(||w - z||, rho ||z - previous||, ||w - z|| / max(||w||, ||z||),
        ||z - previous|| / ||z||)`; 0 / 0 counts as 0, and anything else
        over 0 as infinity.
    """
    gap, moved, w, z = (math.sqrt(square) for square in sums[:4])
    return gap, rho * moved, _ratio(gap, max(w, z)), _ratio(moved, z)


def size(sums):
    """`||w||^2` over all kernels, a float."""
    return float(sums[2])


def changed(sums):
    """Share of the nonzeros of z that were exchanged, over all kernels, a float.

    What came where nothing went, into a set that grew, is no exchange.
    """
    new, gone, nonzeros = sums[4:]
    return float(min(new, gone) / max(1.0, nonzeros))


def _ratio(a, b):
    if b == 0.0:
        return math.inf if a > 0.0 else 0.0
    return a / b
