"""What a run says of itself."""

from typing import Any

import keras

from tf_admm.admm import progress


class Reading:
    """The state of an `ADMMModel`, to read; mixed into it."""

    @property
    def phase(self) -> str:
        """`"dense"`, `"admm"` or `"retraining"`."""
        return progress.PHASES[self._read("phase")]

    @property
    def rho(self) -> float:
        """rho in force, a float."""
        return self._read("rho")

    @property
    def steps_since_update(self) -> int:
        """W-steps since the last update of Z and U."""
        return self._read("steps")

    @property
    def admm_steps(self) -> int:
        """W-steps of the ADMM phase."""
        return self._read("walked") + self.steps_since_update

    @property
    def epoch(self) -> int:
        """The epoch that last began, as `ADMMCallback` notes it."""
        return self._read("epoch")

    @epoch.setter
    def epoch(self, epoch):
        self._progress.epoch.assign(epoch)

    @property
    def rounds(self) -> int:
        """How often the budget was given back (`regrow`)."""
        return self._read("rounds")

    @property
    def changed(self) -> float:
        """Share of the nonzeros of Z that the last update exchanged."""
        return self._read("changed")

    # No property, which Keras would read each time that it saves.
    def has_followed(self) -> bool:
        """Whether W has come half of the way to Z - U since the last update.

        Or lies within a hundredth of `||W||` of it. A set that holds all of W leaves no
        way at all, and W that trains would never seem to follow.
        """
        return self.penalty() <= self._read("pulled") / 4

    @property
    def residuals(self) -> dict[str, float]:
        """Residuals of the last update, a dict of floats.

        Over all constrained kernels: `admm_primal = ||W - Z||`, `admm_dual =
        rho ||Z - Z_old||`, `admm_primal_rel = ||W - Z|| / max(||W||, ||Z||)`
        and `admm_dual_rel = ||Z - Z_old|| / ||Z||`. 0.0 in retraining.
        """
        values = self._read("residuals")
        return dict(zip(progress.RESIDUALS, values))

    @property
    def masks(self) -> list[tuple[keras.Variable, Any]]:
        """Each constrained weight, and where the last Z-step keeps it, as booleans."""
        self.sync()
        return [(s.w, keras.ops.cast(s.settled, "bool")) for s in self._slots]

    def _read(self, name):
        self.sync()
        return progress.value(getattr(self._progress, name))
