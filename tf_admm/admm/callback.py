"""The callback that says when Z and U are updated."""

import numbers
import warnings

import keras

from tf_admm.admm import optimizer
from tf_admm.admm.model import ADMM
from tf_admm.admm.model import DENSE
from tf_admm.admm.model import ADMMModel


class ADMMCallback(keras.callbacks.Callback):
    """Runs the phases of ADMM pruning inside `ADMMModel.fit`.

    Epochs `0 ... admm_epochs - 1` are ADMM: at each update Z is projected and
    U moved. Then the weights are cut to the mask, the optimizer starts afresh,
    learning rate included, and the epochs that remain retrain what is kept.

    All that it decides by is in the variables of the model, so a run restored
    by `keras.callbacks.BackupAndRestore` goes on where it was, wherever this
    callback stands in the list: an update that was due and not yet made when
    the backup was written is made as the next epoch begins.

    It adds to the logs of every epoch: `admm_penalty` (as the epoch ended),
    `admm_primal`, `admm_dual`, `admm_primal_rel`, `admm_dual_rel` (see
    `ADMMModel.residuals`) and `rho`. Callbacks listed after it can write and
    watch them.

    Args:
        admm_epochs: int, positive, the epochs of ADMM; equal to `epochs` for a
            first fit without retraining.
        update_freq: `"epoch"`, or an int, the number of W-steps from one update
            of Z and U to the next. With `steps_per_execution`, the update is
            made at the first boundary at or after.

    Raises:
        ValueError: before training, if the model is not an `ADMMModel`, if
            `admm_epochs` is greater than `epochs`, if no update would ever
            be made, or if no optimizer can be made from the config of the
            compiled one.
    """

    def __init__(self, admm_epochs: int, update_freq: int | str = "epoch"):
        super().__init__()
        if not isinstance(admm_epochs, numbers.Integral) or admm_epochs < 1:
            raise ValueError(
                "Invalid value for argument `admm_epochs`. Expected a positive "
                f"integer. Received: admm_epochs={admm_epochs}"
            )
        if update_freq != "epoch" and (
            not isinstance(update_freq, numbers.Integral) or update_freq < 1
        ):
            raise ValueError(
                "Invalid value for argument `update_freq`. Expected 'epoch' or "
                "a positive integer, a number of steps. Received: "
                f"update_freq={update_freq}"
            )
        self.admm_epochs = admm_epochs
        self.update_freq = update_freq

    def set_model(self, model):
        if not isinstance(model, ADMMModel):
            raise ValueError(
                "Expected `ADMMCallback` to be given to `fit` of a "
                f"`tf_admm.ADMMModel`. Received: a model of type {type(model)}"
            )
        super().set_model(model)
        # Before anything restores the optimizer: its own beginning.
        self._optimizer_config = optimizer.settings(model.optimizer)

    def on_train_begin(self, logs=None):
        epochs, steps = self.params["epochs"], self.params["steps"]
        if self.admm_epochs > epochs:
            raise ValueError(
                "Expected `admm_epochs` to be at most the `epochs` of `fit`. "
                f"Received: admm_epochs={self.admm_epochs}, epochs={epochs}"
            )
        if steps and self.update_freq != "epoch":
            self._check_update_freq(self.admm_epochs * steps)

    def _check_update_freq(self, steps):
        if self.update_freq > steps:
            raise ValueError(
                "Expected `update_freq` to be at most the number of steps of "
                f"the ADMM phase, {steps}: no update would ever be made. "
                f"Received: update_freq={self.update_freq}"
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._check_replay(epoch)
        if self.model.phase == DENSE:
            self._begin(epoch)
        if self.model.phase == ADMM:
            self._catch_up(epoch)
        self.model.epoch = epoch
        self._progress = epoch / self.admm_epochs
        self._counting = self.model.phase == ADMM and self.update_freq != "epoch"
        self._updated_at = -self.model.steps_since_update

    def _check_replay(self, epoch):
        if self.model.restored and self.model.epoch == epoch:
            warnings.warn(
                f"The restored weights are from within epoch {epoch} (counted "
                "from 0) or from its end, and the epoch now runs again from its "
                "start: the run differs from an undisturbed one. This happens "
                "with `BackupAndRestore(save_freq=<int>)`, or after a kill "
                "between its two files; `double_checkpoint=True` keeps the pair "
                "of files before these, as `*.bkp`.",
                stacklevel=2,
            )
        self._replay = self.model.restored and self.model.epoch == epoch
        self.model.restored = False

    def _begin(self, epoch):
        if epoch >= self.admm_epochs:
            raise ValueError(
                "Expected a first epoch within the ADMM phase, since the model "
                f"has not been pruned. Received: epoch {epoch}, admm_epochs="
                f"{self.admm_epochs}"
            )
        self.model.begin()

    def _catch_up(self, epoch):
        """Make what was due when a backup was written, and not yet made."""
        pending = self.model.steps_since_update
        if self.update_freq == "epoch":
            due = pending > 0 and not self._replay
        else:
            due = pending >= self.update_freq
        if due:
            self.model.dual_update(min(1.0, epoch / self.admm_epochs))
        if epoch >= self.admm_epochs:
            self._hand_over()

    def on_train_batch_end(self, batch, logs=None):
        if not self._counting:
            return
        # The last of several steps an execution may lie beyond the epoch's end.
        done = min(batch + 1, self.params["steps"] or batch + 1)
        if (
            done - self._updated_at >= self.update_freq
            # Where the length of the epoch isn't known, the model is asked.
            and self.model.steps_since_update >= self.update_freq
        ):
            self.model.dual_update(self._t(done))
            self._updated_at = done

    def _t(self, steps):
        """Progress of the ADMM phase, `steps` into the epoch."""
        share = steps / self.params["steps"] if self.params["steps"] else 0.0
        return min(1.0, self._progress + share / self.admm_epochs)

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        logs["admm_penalty"] = float(self.model.penalty())
        in_admm = self.model.phase == ADMM
        if in_admm and self.update_freq == "epoch":
            self.model.dual_update(min(1.0, (epoch + 1) / self.admm_epochs))
        logs.update(self.model.residuals, rho=self.model.rho)
        if in_admm and epoch + 1 >= self.admm_epochs:
            self._hand_over()

    def on_train_end(self, logs=None):
        if self.model.restored and self.model.phase == ADMM:
            # A backup of the last epoch: none was left to begin.
            self._replay = False
            self._catch_up(self.model.epoch + 1)
        self.model.restored = False

    def _hand_over(self):
        self.model.finalize()
        self.model.restart_optimizer(self._optimizer_config)
