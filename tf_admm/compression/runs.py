"""A run as a folder: what is finished of it, so that one that was killed goes on."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import zlib

import keras
import numpy as np

from tf_admm import files
from tf_admm.compression import copies

#: What is in the folder while the run goes on, and when it is done.
HIDDEN, DONE = ".run", "result.json"


class Run:
    """What has been tried, and the best of it.

    Args:
        folder: where results go, or `None` for a temporary one.
        key: str, of all that the run depends on (`fingerprint`).
        overwrite: whether another run in the folder is given up.
        compiled: as `copies.save` takes it.

    Attributes:
        folder: str.
        is_kept: whether it stays.
        stages: list of dicts, one for each stage that is finished: `share`, `metric`,
            `meets`, `minutes`, and `history`.
        minutes: float, of the stages that were finished before.
        pace: dict, what was found from the time that there is, or `None`: `epochs` of
            a stage, and whether there are so few `stages` that one family is enough.

    Raises:
        ValueError: if the folder holds an unfinished run of something else.
    """

    def __init__(self, folder, key, overwrite=False, compiled=None):
        self._temporary = None
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory()
            folder = self._temporary.name
        self.is_kept = self._temporary is None
        self.folder = os.fspath(folder)
        self._is_new = not os.path.isdir(self.folder)
        os.makedirs(self.folder, exist_ok=True)
        self._hidden = os.path.join(self.folder, HIDDEN)
        self._state = os.path.join(self._hidden, "state.json")
        self._key, self._compiled, self.pace = key, compiled, None
        self.stages = self._read(overwrite)
        self.minutes = sum(stage["minutes"] for stage in self.stages)

    def _read(self, overwrite):
        if not os.path.exists(self._state):
            return []
        state = files.load_json(self._state)
        if state["key"] == self._key:
            self.pace = state.get("pace")
            return state["stages"]
        if not overwrite:
            raise ValueError(
                "Expected `output` to be a new folder, or that of the same run: model, "
                f"data, goal and options. Received: {self.folder}, which holds an "
                "unfinished run of something else. Give `overwrite=True` to give it up."
            )
        os.remove(self._state)
        return []

    def begin(self):
        """Note what the run is of, before anything that it could go on from."""
        if not os.path.exists(self._state):
            shutil.rmtree(self._hidden, ignore_errors=True)
            os.makedirs(self._hidden)
            self._write()

    def _write(self):
        state = {"key": self._key, "pace": self.pace, "stages": self.stages}
        files.save_json(state, self._state)

    @property
    def backups(self):
        """The folder of the stage that runs."""
        return os.path.join(self._hidden, f"stage_{len(self.stages)}")

    def save(self, stage, model):
        """Note a finished stage; its model, where it meets the goal."""
        self.begin()
        if stage["meets"]:
            self.save_model(model, os.path.join(self._hidden, "best.keras"))
        backups = self.backups
        self.stages.append(stage)
        self._write()
        shutil.rmtree(backups, ignore_errors=True)

    def save_model(self, model, path):
        """A plain Keras model, compiled as the one that the run began with."""
        copies.save(model, path, self._compiled)

    def best(self, like):
        """The model that the next stage goes on from, or `None` if there is none yet.

        Args:
            like: the model that the run began with, whose layers it is made of.
        """
        if not any(stage["meets"] for stage in self.stages):
            return None
        return copies.load(os.path.join(self._hidden, "best.keras"), like)

    def leave(self):
        """Put the best so far where the result would be."""
        best = os.path.join(self._hidden, "best.keras")
        if os.path.exists(best):
            remove(self.folder)
            with files.replacing(os.path.join(self.folder, "model.keras")) as temporary:
                shutil.copy(best, temporary)

    def finish(self, record):
        """Write the result, and remove what was for going on, and an earlier result."""
        remove(self.folder, but=written(record))
        files.save_json(record, os.path.join(self.folder, DONE))
        shutil.rmtree(self._hidden, ignore_errors=True)

    def close(self):
        if self._temporary is not None:
            self._temporary.cleanup()
        elif self._is_new:
            with contextlib.suppress(OSError):
                # Where nothing was begun, nothing is left.
                os.rmdir(self.folder)


def written(record):
    """Names of the files of a run that is done, by its record."""
    names = {os.path.basename(path) for path in record["files"].values()}
    return names | {"model.keras", "report.html"}


def remove(folder, but=()):
    """Remove the result of a run that is done, if there is one: its own files only."""
    done = os.path.join(folder, DONE)
    if os.path.exists(done):
        names = written(files.load_json(done)) - set(but)
        for name in (DONE, *names):
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(folder, name))


def _check_done(path, overwrite):
    if not overwrite:
        raise ValueError(
            "Expected `output` to be a new folder, or that of an unfinished run; or "
            f"`overwrite=True`. Received: {os.path.dirname(path)}, which holds a run "
            "that is done"
        )
    try:
        written(files.load_json(path))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "Expected `output` to be a new folder, or that of a run. Received: "
            f"{path}, which no run has written"
        ) from error


def check(folder, overwrite=False):
    """Raise, before any work, if no run can be in the folder.

    Raises:
        TypeError: if it is no path.
        ValueError: if it can't be written, or holds a finished run.
    """
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(
            f"Expected `output` to be a path. Received: output={folder!r} of type "
            f"{type(folder)}"
        )
    done = os.path.join(folder, DONE)
    if os.path.exists(done):
        _check_done(done, overwrite)
    above = os.path.abspath(folder)
    while not os.path.exists(above):
        above = os.path.dirname(above)
    if not files.can_write(above):
        raise ValueError(
            f"Expected `output` to be a folder that can be written. Received: {folder}"
        )


def fingerprint(model, data, **options):
    """A str of the model's weights, the arrays, and the options."""
    hashed = hashlib.sha256()
    # Not the seeds, which Keras draws as a model is loaded, and a stage anew.
    for variable in model.weights:
        hashed.update(np.array(variable).tobytes())
    for x in map(np.asarray, keras.tree.flatten((data.arrays, data.steps))):
        # Of objects, such as strings, there are but addresses.
        x = np.ascontiguousarray(x.astype("str") if x.dtype.hasobject else x)
        hashed.update(str(zlib.crc32(x.reshape(-1).view("uint8"))).encode())
    hashed.update(json.dumps(options, sort_keys=True, default=str).encode())
    return hashed.hexdigest()
