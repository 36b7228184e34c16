"""What is said where ADMM has not converged, or statistics don't follow."""

import warnings

from tf_admm.admm import optimizer
from tf_admm.admm import progress
from tf_admm.structure import statistics

#: Above these the cut is likely to cost accuracy that ADMM could have kept.
CHANGED, DUAL, PRIMAL = 0.3, 1.0, 0.3


def warn(model, steps, stacklevel):
    """One warning, if there is reason for one, with what to change and to what.

    Args:
        model: the `ADMMModel`, before `finalize`.
        steps: int, about how many W-steps went from one update to the next; 0 if that
            isn't known, in a run that goes on.
        stacklevel: that of `warnings.warn`.
    """
    found = model.residuals
    if model.changed > CHANGED or found["admm_dual_rel"] > DUAL:
        advice = ", ".join((*_more_rho(model), *_fewer_updates(model, steps)))
        warnings.warn(
            "ADMM has not settled on what to keep: the last update exchanged "
            f"{model.changed:.0%} of it (admm_dual_rel={found['admm_dual_rel']:.2g}). "
            f"U grows faster than W follows. Use {f'{advice}, or ' if advice else ''}"
            "more epochs.",
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


def _more_rho(model):
    """More of it, as far as the optimizer bears it."""
    if not model.rho:
        yield "a positive rho"
    elif 10 * model.rho <= optimizer.steepest(model.optimizer):
        yield f"rho={10 * model.rho:.1g} or more"


def _fewer_updates(model, steps):
    if 0 < 4 * steps < model.admm_steps:
        yield f"`update_freq={4 * steps}` in `ADMMCallback`"


class Statistics:
    """Says so, once, if batch normalisation does not follow within a training.

    Args:
        model: the `ADMMModel`, as the training begins.
        epochs, steps: int, of the training, and of an epoch.
    """

    def __init__(self, model, epochs, steps):
        self._epochs, self._steps = epochs, steps
        slow = statistics.slow(model, epochs * steps)
        self._before = [(layer, progress.value(layer.moving_mean)) for layer in slow]

    def warn(self, stacklevel):
        """A warning, if an epoch has moved what is slow.

        A layer may be called with `training=False`: its statistics are to stay.
        """
        pairs, self._before = self._before, []
        slow = [
            layer.momentum
            for layer, before in pairs
            if progress.value(layer.moving_mean) != before
        ]
        if not slow:
            return
        total = self._epochs * self._steps
        warnings.warn(
            f"The statistics of {len(slow)} `BatchNormalization` layers are slow: with "
            f"momentum={max(slow):g}, {max(slow) ** total:.0%} of them will still be "
            f"of the weights before after the {total} steps of this training, and "
            "validation will look worse than the model is. Give these layers "
            f"`momentum={statistics.momentum(self._steps):.2g}` before, or call "
            "`tf_admm.recalibrate(model, x)` after it.",
            stacklevel=stacklevel,
        )
