"""What is said where ADMM has not converged as the weights are cut."""

import warnings

#: Above these the cut is likely to cost accuracy that ADMM could have kept.
CHANGED, DUAL, PRIMAL = 0.3, 1.0, 0.3


def warn(model, steps, stacklevel):
    """One warning, if there is reason for one, with what to change and to what.

    Args:
        model: the `ADMMModel`, before `finalize`.
        steps: int, about how many W-steps went from one update to the next.
        stacklevel: that of `warnings.warn`.
    """
    found = model.residuals
    if model.changed > CHANGED or found["admm_dual_rel"] > DUAL:
        wanted = f"rho={10 * model.rho:.1g} or more" if model.rho else "a positive rho"
        warnings.warn(
            "ADMM has not settled on what to keep: the last update exchanged "
            f"{model.changed:.0%} of it (admm_dual_rel={found['admm_dual_rel']:.2g}). "
            f"U grows faster than W follows. Use {wanted}, "
            f"`update_freq={4 * max(1, steps)}` in `ADMMCallback`, or more epochs.",
            stacklevel=stacklevel,
        )
    elif found["admm_primal_rel"] > PRIMAL:
        wanted = model.rho * found["admm_primal_rel"] / (PRIMAL / 3)
        advice = f"a rho that ends at {wanted:.1g}" if wanted else "a positive rho"
        warnings.warn(
            "The weights are far from Z as they are cut (admm_primal_rel="
            f"{found['admm_primal_rel']:.2g}). Use {advice}, or more epochs of ADMM.",
            stacklevel=stacklevel,
        )
