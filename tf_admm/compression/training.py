"""A stage of a run: ADMM to a smaller share, and retraining of what is kept."""

import os
import shutil
import warnings

import keras

from tf_admm.admm.callback import ADMMCallback
from tf_admm.admm.model import ADMMModel
from tf_admm.compression import rates
from tf_admm.compression.best import Best
from tf_admm.schedules import Cubic
from tf_admm.structure import copying
from tf_admm.structure import seeds
from tf_admm.structure import statistics
from tf_admm.structure import walking

#: The last file of a backup by `BackupAndRestore`.
LAST_WRITTEN = "training_metadata.json"
#: Steps of the optimizer where no epochs are given, in a stage of a search and in one
#: that is the whole run; and epochs of it.
STEPS, ALONE, FEWEST, MOST = 6000, 18000, 4, 60
#: Most of what a stage may begin with, over what it keeps as it ends.
EXCESS = 30.0
#: To what share the learning rate falls in ADMM; in retraining it falls to 0.
DECAY = 0.1


class Trainer:
    """Trains a model as the user's own is compiled.

    The optimizer is the model's, its learning rate on half a cosine.

    Args:
        model: a compiled Keras model.
        data: a `batches.Data`.
        epochs: int, of one stage, or `None` for what comes to 6,000 steps; to 18,000 if
            there is only one.
        is_searched: bool, whether there are several.
        bar: a `progress.Bar`.

    Attributes:
        epochs: int, of one stage.
    """

    def __init__(self, model, data, epochs, is_searched, bar):
        # Of losses and metrics that no file could say, the objects themselves.
        self._config, self._data = dict(model._compile_config.config), data
        self._bar = bar
        steps = STEPS if is_searched else ALONE
        self.shorten(epochs or min(max(-(-steps // data.steps), FEWEST), MOST))

    def shorten(self, epochs):
        """So many epochs of one stage, two thirds of them ADMM."""
        self.epochs = epochs
        self._first = max(1, round(2 * epochs / 3))

    def compile(self, model, epochs=1, decay=DECAY):
        """Compile as the user's model is, for so many epochs."""
        options = dict(self._config)
        for name in ("metrics", "weighted_metrics"):
            options[name] = copying.fresh(options[name])
        options["optimizer"] = _scheduled(
            keras.optimizers.get(options["optimizer"]),
            epochs * self._data.steps,
            decay,
        )
        if options["jit_compile"] == "auto" and not keras.distribution.list_devices(
            "gpu"
        ):
            # On a CPU, XLA takes longer to compile than it saves.
            options["jit_compile"] = False
        model.compile(**options)

    def stage(self, number, model, constraints, excess, folder, objective):
        """Prune a model in place. Killed, it goes on from its backups in `folder`.

        Args:
            number: int, of the stage.
            model: the model.
            constraints: as `ADMMModel` takes them.
            excess: float, what is kept as it begins, over what is kept as it ends.
            folder: for what is needed to go on.
            objective: a `judging.Objective`, which chooses the epoch of retraining.

        Returns:
            Dict of lists, the history of both phases; `None` if time is over before
            the model is pruned and retrained.
        """
        kept = Cubic(min(EXCESS, excess))
        _drop_less(model, excess)
        # Keras keeps no seeds in a `.keras` file, which a run that goes on begins with.
        seeds.sow(model, [self._data.seed, number])
        admm = ADMMModel(model, constraints, kept=kept)
        best = Best(objective, self._first, folder)
        with statistics.following(model, self._data.steps):
            history = self._phases(number, admm, folder, best)
        if history is not None:
            best.restore(model)
        return history

    def _phases(self, number, admm, folder, best):
        history = {}
        for begin, end, decay in (
            (0, self._first, DECAY),
            (self._first, self.epochs, 0.0),
        ):
            if begin < end:
                self.compile(admm, end - begin, decay)
                logs = self._fit(number, admm, begin, end, folder, best)
                for name, values in logs.items():
                    history.setdefault(name, []).extend(map(float, values))
                if admm.epoch + 1 < end:
                    return None
        return history

    def _fit(self, number, admm, begin, end, folder, best):
        train, order = self._data.train(number)
        backup = os.path.join(folder, f"until_{end}")
        if not os.path.exists(os.path.join(backup, LAST_WRITTEN)):
            # Killed within the first backup: there are weights, and not of which epoch.
            shutil.rmtree(backup, ignore_errors=True)
        callbacks = [
            ADMMCallback(self._first),
            # Before the backup: after a kill between the two, the epoch runs again.
            best,
            keras.callbacks.BackupAndRestore(
                backup, double_checkpoint=True, delete_checkpoint=False
            ),
            self._bar.callback(),
        ]
        with warnings.catch_warnings():
            # Whether it is good enough is measured.
            warnings.filterwarnings("ignore", "ADMM has not settled")
            warnings.filterwarnings("ignore", "The weights are far from Z")
            warnings.filterwarnings("ignore", "`fit` ended in the ADMM phase")
            fitted = admm.fit(
                train,
                epochs=end,
                initial_epoch=begin,
                shuffle=False,
                verbose=0,
                validation_data=self._data.validation,
                callbacks=[*order, *callbacks],
            )
        return fitted.history


def _drop_less(model, excess):
    """Dropout for fewer weights: rates fall as the square root of what is kept.

    Reference: Han et al., 2015, arXiv:1506.02626, section 3.2.
    """
    for layer, _ in walking.walk(model):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate *= excess**-0.5


def _scheduled(optimizer, steps, decay):
    """A new optimizer, from the learning rate of this one down on half a cosine."""
    rate = rates.first(optimizer)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps, decay)
    config = _with_rate(
        optimizer.get_config(), keras.saving.serialize_keras_object(schedule)
    )
    return type(optimizer).from_config(config)


def _with_rate(config, schedule):
    """The config with this learning rate, inner optimizers' too."""
    if not isinstance(config, dict):
        return config
    config = {key: _with_rate(value, schedule) for key, value in config.items()}
    if "learning_rate" in config:
        config["learning_rate"] = schedule
    return config
