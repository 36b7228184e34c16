"""The callback that says when Z and U are updated."""

import math
import warnings

import keras

from tf_admm import arguments
from tf_admm.admm import health
from tf_admm.admm import optimizer
from tf_admm.admm import rounds as parts
from tf_admm.admm.model import ADMMModel
from tf_admm.admm.progress import ADMM
from tf_admm.admm.progress import DENSE
from tf_admm.admm.progress import RETRAINING


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
    `ADMMModel.residuals`), `admm_changed` (the share of what is kept that the last
    update exchanged) and `rho`. Callbacks listed after it can write and watch them.
    Where ADMM has not converged as the weights are cut, or batch normalisation is too
    slow for the steps of the training, a warning says what to change.

    Args:
        admm_epochs: int, positive, the epochs of ADMM; equal to `epochs` for a
            first fit without retraining. By default two thirds of `epochs`.
        update_freq: `"auto"`, `"epoch"`, or an int, the number of W-steps from one
            update of Z and U to the next. `"auto"` updates when W has come half of the
            way to Z - U, and at the latest after a tenth of the ADMM phase; where the
            length of an epoch can't be known, also as the first ends. With
            `steps_per_execution`, the update is made at the first boundary at or after.
        rounds: int, how often the budget is given back and pruned again (`regrowth`
            of `ADMMModel`), which divides the ADMM epochs in `rounds + 1` equal parts;
            rho and what is kept run through their schedules in each.
        evaluate_cut: bool, whether the model is evaluated on the validation data
            as if it were cut now, as each epoch ends: all its metrics, with `_cut`
            after their names, such as `val_loss_cut`.

    Raises:
        ValueError: before training, if the model is not an `ADMMModel`, if
            `admm_epochs` is greater than `epochs`, if no update would ever
            be made, if rounds are asked for and no regrowth, if there are no
            validation data for `evaluate_cut`, if no optimizer can be made from
            the config of the compiled one, or if a kernel that is yet to be pruned
            is frozen; and in retraining, if a pruned kernel is not finite.
    """

    def __init__(
        self,
        admm_epochs: int | None = None,
        update_freq: int | str = "auto",
        rounds: int = 0,
        evaluate_cut: bool = False,
    ):
        super().__init__()
        if admm_epochs is not None:
            _check_integer("admm_epochs", admm_epochs, 1, "a positive integer")
        if update_freq not in ("auto", "epoch"):
            expected = "'auto', 'epoch' or a positive integer, a number of steps"
            _check_integer("update_freq", update_freq, 1, expected)
        _check_integer("rounds", rounds, 0, "a non-negative integer")
        if not isinstance(evaluate_cut, bool):
            raise ValueError(
                "Invalid value for argument `evaluate_cut`. Expected a bool. Received: "
                f"evaluate_cut={evaluate_cut!r}"
            )
        self.admm_epochs = admm_epochs
        self.update_freq = update_freq
        self.rounds = rounds
        self.evaluate_cut = evaluate_cut

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
        self._epochs = self.admm_epochs or max(1, round(2 * epochs / 3))
        self._check(epochs, steps)
        if self.model.phase == RETRAINING:
            self.model.warn_of_adapters(stacklevel=4)
        # Where the number of steps isn't known, they are taken to be enough.
        self._statistics = health.Statistics(self.model, epochs, steps or math.inf)
        if self.model.phase == DENSE:
            optimizer.check_moves(self.model.optimizer)
        self._rounds = parts.Rounds(self._epochs, self.rounds)
        self._steps = 0
        if self.model.restored:
            # Keras has drawn since, as `fit` began.
            self.model.set_random_state(self.model.drawn)

    def _check(self, epochs, steps):
        if self._epochs > epochs:
            raise ValueError(
                "Expected `admm_epochs` to be at most the `epochs` of `fit`. "
                f"Received: admm_epochs={self._epochs}, epochs={epochs}"
            )
        steps = steps and self._epochs * steps
        if steps and self.update_freq not in ("auto", "epoch"):
            self._check_update_freq(steps)
        if self.rounds and (not self.model.regrowth or self.rounds >= self._epochs):
            raise ValueError(
                "Expected `rounds` to be fewer than the epochs of ADMM, and a positive "
                f"`regrowth` of the `ADMMModel`. Received: rounds={self.rounds}, "
                f"admm_epochs={self._epochs}, regrowth={self.model.regrowth}"
            )
        if self.evaluate_cut and self.model.validate_cut is None:
            raise ValueError(
                "Expected `validation_data` or `validation_split` in `fit`, to judge "
                "the cut on. Received: neither, and evaluate_cut=True"
            )

    def _check_update_freq(self, steps):
        if self.update_freq > steps:
            raise ValueError(
                "Expected `update_freq` to be at most the number of steps of "
                f"the ADMM phase, {steps}: no update would ever be made. "
                f"Received: update_freq={self.update_freq}"
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._check_replay(epoch)
        if self.model.phase != RETRAINING:
            self.model.check_trainable()
        if self.model.phase == DENSE:
            self._begin(epoch)
        if self.model.phase == ADMM:
            self._catch_up(epoch)
            self.model.limit_rho()
        self.model.epoch = epoch
        self._epoch = epoch
        self._counting = self.model.phase == ADMM
        self._length = self._length_of(epoch)
        self._pace = self._pace_of(self._length)
        self._pace.begin(self.model)

    def _length_of(self, epoch):
        """Steps of an epoch; those of the ones before, if Keras can't know."""
        if self.params["steps"] or not epoch:
            return self.params["steps"]
        return self.model.admm_steps // epoch or None

    def _pace_of(self, length):
        return parts.pace(self.update_freq, self._rounds, length)

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
        if epoch >= self._epochs:
            raise ValueError(
                "Expected a first epoch within the ADMM phase, since the model "
                f"has not been pruned. Received: epoch {epoch}, admm_epochs="
                f"{self._epochs}"
            )
        self.model.begin()

    def _catch_up(self, epoch):
        """Make what was due when a backup was written, and not yet made."""
        # As in the epoch that is over: of the first, no length was known before.
        pace = self._pace_of(self._length_of(epoch if epoch > 1 else 0))
        if not (pace.at_end and self._replay):
            self._update_if_late(epoch, pace)
        self._turn(epoch)

    def _update_if_late(self, epochs, pace):
        """What an epoch that is over has left due: a backup may be from before it."""
        if parts.is_late(self.model, pace):
            self._note_steps()
            self.model.dual_update(self._t(epochs))

    def _t(self, epochs):
        """Progress of the round, so many epochs into the ADMM phase."""
        return self._rounds.t(self._round(), epochs)

    def _round(self):
        return min(self.model.rounds, self.rounds)

    def _turn(self, epochs):
        """What comes after a round that is over: another one, or the hand-over."""
        if not self._rounds.is_over(self._round(), epochs):
            return
        if self._rounds.is_last(self._round()):
            self._hand_over()
        else:
            self.model.regrow()

    def on_train_batch_end(self, batch, logs=None):
        if not self._counting:
            return
        steps = self.params["steps"]
        # The last of several steps an execution may lie beyond the epoch's end.
        done = min(batch + 1, steps or batch + 1)
        if self._pace.looks(done) and self._pace.is_due(self.model):
            self._pace.note(done)
            self._note_steps()
            share = min(1.0, done / self._length) if self._length else 0.0
            self.model.dual_update(self._t(self._epoch + share))

    def _note_steps(self):
        self._steps = self.model.steps_since_update

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        if self.model.phase == RETRAINING:
            self.model.check_retrained()
        self._statistics.warn(stacklevel=4)
        logs["admm_penalty"] = self.model.penalty()
        in_admm = self.model.phase == ADMM
        if in_admm:
            self._update_if_late(epoch + 1, self._pace)
        logs.update(
            self.model.residuals, admm_changed=self.model.changed, rho=self.model.rho
        )
        if self.evaluate_cut:
            logs.update(self._cut_metrics(in_admm, logs))
        if in_admm:
            self._turn(epoch + 1)

    def _cut_metrics(self, in_admm, logs):
        if in_admm:
            found = self.model.validate_cut()
            return {f"val_{name}_cut": value for name, value in found.items()}
        found = {name: value for name, value in logs.items() if name.startswith("val_")}
        return {f"{name}_cut": value for name, value in found.items()}

    def on_train_end(self, logs=None):
        if self.model.restored and self.model.phase == ADMM:
            # A backup of the last epoch: none was left to begin.
            self._replay = False
            self._catch_up(self.model.epoch + 1)
        self.model.restored = False

    def _hand_over(self):
        health.warn(self.model, self._steps, stacklevel=4)
        self.model.finalize()
        self.model.restart_optimizer(self._optimizer_config)


def _check_integer(name, value, least, expected):
    if not arguments.is_whole(value) or value < least:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected {expected}. Received: "
            f"{name}={value!r}"
        )
