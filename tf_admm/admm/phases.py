"""The phases of a run, and the updates of Z and U."""

import math

import numpy as np

from tf_admm import schedules
from tf_admm.admm import optimizer
from tf_admm.admm import progress
from tf_admm.admm import updates
from tf_admm.admm.progress import ADMM
from tf_admm.admm.progress import DENSE
from tf_admm.admm.progress import RETRAINING
from tf_admm.structure import checks


class Phases:
    """What `ADMMCallback` calls, of an `ADMMModel`; mixed into it."""

    def begin(self) -> None:
        """Start ADMM: `Z <- Pi(W)`, `U <- 0`, `rho <- schedule(0)`."""
        self._check_finite()
        self._begin(self.schedule(0.0))

    def _begin(self, rho):
        rho = schedules.checked(self.schedule, rho)
        size = self._slots.begin(self._excess(0.0))
        self._progress.rho.assign(rho)
        self._progress.depart(self.penalty(), size)
        self._progress.enter(ADMM)

    def regrow(self) -> None:
        """End a round of ADMM as `finalize` does, and begin another one.

        `W <- W * mask`; then `regrowth` times the budget comes back, as 0.0, where the
        squared gradients are largest. W stays 0.0 everywhere else in the next round.

        Raises:
            RuntimeError: outside of the ADMM phase, or without `regrowth`.
            ValueError: if a kernel is not finite; nothing has changed then.
        """
        self._check_phase()
        if not self.regrowth:
            raise RuntimeError(
                "Expected an `ADMMModel` with a positive `regrowth`. Received: "
                f"regrowth={self.regrowth}"
            )
        self._cut()
        self._slots.regrow(1.0 + self.regrowth)
        self._progress.updated()
        self._progress.rounds.assign_add(1)
        self._begin(self.schedule.again(self.rho))

    def _excess(self, t):
        """What the sets keep now; a later round falls from what it was given."""
        kept = self.kept(t)
        if not self.rounds or kept == 1.0:
            return kept
        return 1.0 + self.regrowth * (kept - 1.0) / max(self.kept(0.0) - 1.0, 1e-6)

    def dual_update(self, t: float = 1.0) -> None:
        """`Z <- Pi(W + U)`, `U <- U + W - Z`, then `rho <- schedule.update(t, ...)`.

        When rho changes, U is rescaled so that `rho * U` stays.

        Args:
            t: float in [0, 1], the progress of the ADMM phase, or of its round.

        Raises:
            RuntimeError: outside of the ADMM phase.
            ValueError: if a kernel is not finite; nothing has changed then.
        """
        self._check_phase()
        self._check_finite()
        followed = self.has_followed()
        kept = self._excess(t)
        sums = self._slots.update(kept)
        self._note(sums)
        self._change_rho(self._next_rho(t, followed, kept))
        self._progress.depart(self.penalty(), updates.size(sums))
        self._progress.updated()

    def limit_rho(self) -> None:
        """What a schedule of residuals found, below what this optimizer would bear."""
        if self.schedule.measures and self.rho > self._most:
            self._change_rho(self._most)

    @property
    def _most(self):
        return optimizer.steepest(self.optimizer) if self.compiled else math.inf

    def _check_phase(self):
        if self.phase != ADMM:
            raise RuntimeError(
                "Expected the ADMM phase, which `begin()` starts and `finalize()` "
                f"ends. Received: the {self.phase} phase"
            )

    def _note(self, sums):
        self._progress.residuals.assign(updates.residuals(sums, self.rho))
        self._progress.changed.assign(updates.changed(sums))

    def _next_rho(self, t, followed, kept):
        found = schedules.Found(
            primal=self.residuals["admm_primal_rel"],
            dual=self.residuals["admm_dual_rel"],
            changed=self.changed,
            followed=followed,
            pull=self._slots.pull(self.steps_since_update) if self._is_measuring else 0,
            most=self._most,
            kept=kept,
        )
        rho = self.schedule.update(t, self.rho, found)
        return schedules.checked(self.schedule, rho)

    @property
    def _is_measuring(self):
        return self.schedule.measures and self.rho == 0.0

    def _change_rho(self, rho):
        if rho != self.rho:
            self._slots.rescale(updates.rescaling(self.rho, rho))
        self._progress.rho.assign(rho)

    def finalize(self) -> None:
        """End ADMM: `W <- W * mask`, `U <- 0`, `rho <- 0`; then retrain.

        The mask is the index set of the last Z-step. Another Z-step is made first if
        any W-step followed the last. The mask holds exactly as many entries as the
        constraint says, also where some are 0.0. For sets that are no masks, W takes
        the levels or clusters of that Z, and retraining moves their scales or
        centroids. Before ADMM has begun this is one-shot magnitude pruning. In
        retraining it changes nothing.

        Raises:
            ValueError: if a kernel is not finite; nothing has changed then.
        """
        if self.phase == RETRAINING:
            return
        if self.phase == DENSE:
            self.begin()
        self._cut()
        self._progress.rho.assign(0.0)
        self._progress.residuals.assign(np.zeros(len(progress.RESIDUALS)))
        self._progress.changed.assign(0.0)
        self._progress.enter(RETRAINING)

    def _settle(self):
        """Another Z-step, if W has moved since the last, or that was of looser sets."""
        if self.steps_since_update > 0 or not self._slots.is_settled():
            self._slots.settle()

    def _cut(self):
        self._check_finite()
        self._settle()
        self._slots.cut()
        with self.readable():
            self._slots.silence()

    def _check_finite(self):
        self.sync()
        self._slots.check_finite("before the Z-step", "lower the learning rate, or rho")

    def check_trainable(self) -> None:
        """Raise unless all that is yet to be pruned can be trained.

        Raises:
            ValueError: which names the kernels.
        """
        self._slots.check_trainable()

    def warn_of_adapters(self, stacklevel: int) -> None:
        """Warn of layers that compute with more than the kernels that are pruned."""
        pruned = [slot.w for slot in self._slots]
        checks.warn_of_adapters(self.model, pruned, stacklevel + 1)

    def check_retrained(self) -> None:
        """Raise if retraining has made a kernel NaN or infinite.

        Raises:
            ValueError: which names the kernel.
        """
        self.sync()
        self._slots.check_finite(
            "in retraining",
            "lower the learning rate, or use an optimizer that takes rows and columns "
            "of gradients that are 0.0, such as Adam; Keras' Adafactor makes them NaN",
        )

    def restart_optimizer(self, config):
        """Put the compiled optimizer back to its beginning, in place."""
        with self.scope():
            optimizer.restart(self.optimizer, config, self.trainable_variables)
