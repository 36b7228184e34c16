"""What is said where ADMM has not converged, or statistics don't follow."""

import warnings

from tf_admm.structure import statistics

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
        freq = 4 * max(1, steps)
        if freq < model.admm_steps:
            wanted += f", `update_freq={freq}` in `ADMMCallback`"
        warnings.warn(
            "ADMM has not settled on what to keep: the last update exchanged "
            f"{model.changed:.0%} of it (admm_dual_rel={found['admm_dual_rel']:.2g}). "
            f"U grows faster than W follows. Use {wanted}, or more epochs.",
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


def warn_of_statistics(model, epochs, steps, stacklevel):
    """A warning if batch normalisation does not follow within the whole training."""
    found = statistics.slow(model, epochs * steps)
    if not found:
        return
    most = max(layer.momentum for layer in found)
    wanted = statistics.momentum(steps)
    warnings.warn(
        f"The statistics of {len(found)} `BatchNormalization` layers are slow: with "
        f"momentum={most:g}, {most ** (epochs * steps):.0%} of them will still be of "
        f"the weights before after the {epochs * steps} steps of this training, and "
        "validation will look worse than the model is. Give these layers "
        f"`momentum={wanted:.2g}` before, or call `tf_admm.recalibrate(model, x)` "
        "after it.",
        stacklevel=stacklevel,
    )
