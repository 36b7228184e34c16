"""Pruning by ADMM, with a bar, and a backup to go on from."""

import json
import os
import shutil

import keras

import tf_admm
from tf_admm_cli import data
from tf_admm_cli import objective
from tf_admm_cli import sets
from tf_admm_cli import showing
from tf_admm_cli.problems import BadInput
from tf_admm_cli.progress import Bar

#: What a backup depends on, besides the files' names.
OPTIONS = ("arguments", "sparsity", "ratio", "constraints", "admm_epochs")
OPTIONS += ("retrain_epochs", "batch_size", "loss", "target", "scale", "seed")


def pruned(given, opened):
    """Train, save, and say what it came to."""
    train, validation = data.split(opened.data, given.seed)
    model = opened.model
    admm = _wrapped(model, given)
    backup = Backup(given)
    before = objective.evaluated(model, validation)
    name, dense = objective.headline(before, given.metric)
    _fit(admm, train, validation, given, name, backup)
    _, value = objective.headline(objective.evaluated(model, validation), name)
    size = tf_admm.save_compressed(model, given.output)
    backup.remove()
    summary = tf_admm.summary(model, verbose=0)
    record = {
        "output": given.output,
        "bytes": size,
        "dense_bytes": os.path.getsize(given.arguments[0]),
        "metric": name,
        "dense": showing.plain(dense),
        "pruned": showing.plain(value),
        **sets.summary_record(summary),
    }
    told = (
        f"{given.output}: {size:,} bytes; {name} on the validation data "
        f"{showing.text(name, value)}, {showing.text(name, dense)} before"
    )
    return showing.Result(record, [summary, told])


def _wrapped(model, given):
    """The `ADMMModel`, compiled as the model is."""
    constraints = sets.constraints(given) if given.constraints else None
    share = None if given.constraints else sets.sparsity(given)
    admm = tf_admm.ADMMModel(model, constraints, sparsity=share)
    config = model.get_compile_config()
    if config is None:
        raise BadInput(
            "--loss", "Expected a model whose loss Keras can save. Received: another"
        )
    admm.compile_from_config(config)
    return admm


def _fit(admm, train, validation, given, metric, backup):
    epochs = {"ADMM": given.admm_epochs, "retraining": given.retrain_epochs}
    bar = Bar(epochs, metric)
    options = data.given(train)
    if isinstance(train, tuple):
        options["batch_size"] = given.batch_size
    try:
        admm.fit(
            **options,
            epochs=sum(epochs.values()),
            validation_data=validation,
            verbose=0,
            callbacks=[
                tf_admm.ADMMCallback(given.admm_epochs),
                bar,
                keras.callbacks.BackupAndRestore(
                    backup.folder, double_checkpoint=True, delete_checkpoint=False
                ),
            ],
        )
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            "The same command goes on from the last epoch; until then its state is in "
            f"{backup.folder}."
        ) from stop
    finally:
        bar.close()


class Backup:
    """The folder beside the output that an unfinished run is in.

    Raises:
        BadInput: if it is another run's.
    """

    def __init__(self, given):
        self.folder = f"{given.output}.unfinished"
        path = os.path.join(self.folder, "run.json")
        wanted = {name: getattr(given, name) for name in OPTIONS}
        if given.overwrite:
            self.remove()
        if os.path.isdir(self.folder) and _read(path) != wanted:
            raise BadInput(
                "--output",
                f"Expected the command that {self.folder} is of, or --overwrite. "
                "Received: another",
            )
        os.makedirs(self.folder, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(wanted, file)

    def remove(self):
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None
