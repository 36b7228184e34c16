"""Pruning by ADMM, with a bar, and a backup to go on from."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil

import keras

import tf_admm
from tf_admm.structure import statistics
from tf_admm_cli import data
from tf_admm_cli import objective
from tf_admm_cli import sets
from tf_admm_cli import showing
from tf_admm_cli.problems import BadInput
from tf_admm_cli.progress import Bar

#: What a backup depends on, besides what the files hold.
OPTIONS = ("arguments", "sparsity", "ratio", "constraints", "admm_epochs")
OPTIONS += ("retrain_epochs", "batch_size", "loss", "metric", "target", "scale")
OPTIONS += ("seed", "imports", "rho", "update_freq")


def pruned(given, opened):
    """Train, save, and say what it came to."""
    train, validation = data.split(opened.data, given.seed)
    model = opened.model
    admm = _wrapped(model, given)
    backup = Backup(given)
    with backup.kept():
        before = objective.evaluated(model, validation)
        name, dense = objective.headline(model, before, given.metric)
        with statistics.following(model, data.steps(train, given.batch_size)):
            _fit(admm, train, validation, given, name, backup)
    value = objective.evaluated(model, validation)[name]
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
    admm = tf_admm.ADMMModel(
        model, constraints, _number("--rho", given.rho), sparsity=share
    )
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
    update_freq = _number("--update_freq", given.update_freq)
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
                tf_admm.ADMMCallback(given.admm_epochs, update_freq),
                bar,
                keras.callbacks.BackupAndRestore(
                    backup.folder, double_checkpoint=True, delete_checkpoint=False
                ),
            ],
        )
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
        files = [*given.arguments, *filter(None, [given.constraints])]
        wanted["contents"] = [contents(path) for path in files]
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

    @contextlib.contextmanager
    def kept(self):
        """A scope that says, when it is stopped, how to go on.

        Where no epoch was done, nothing is left of it.
        """
        try:
            yield
        except KeyboardInterrupt as stop:
            told = (
                "The same command goes on from the last epoch; until then its state is "
                f"in {self.folder}."
            )
            if os.listdir(self.folder) == ["run.json"]:
                self.remove()
                told = "No epoch was done, and nothing is left of it."
            raise KeyboardInterrupt(told) from stop

    def remove(self):
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def contents(path):
    """What is in a file, or of what sizes the files of a folder are, as a str."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    found = sorted(p for p in pathlib.Path(path).rglob("*") if p.is_file())
    told = [(str(p.relative_to(path)), p.stat().st_size) for p in found]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _number(name, text):
    """The number, or `"auto"`, that a flag is."""
    if text == "auto":
        return text
    try:
        return int(text) if name == "--update_freq" else float(text)
    except ValueError:
        raise BadInput(name, f"Expected auto, or a number. Received: {text}") from None


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None
