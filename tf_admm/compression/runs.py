"""A run as a folder: what is finished of it, so that one that was killed goes on."""

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

    Attributes:
        folder: str.
        is_kept: whether it stays.
        stages: list of dicts, one for each stage that is finished: `share`, `metric`,
            `meets`, `minutes`, and `history`.

    Raises:
        ValueError: if the folder holds a finished run, or another one.
    """

    def __init__(self, folder, key):
        self._temporary = None
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory()
            folder = self._temporary.name
        self.is_kept = self._temporary is None
        self.folder = os.fspath(folder)
        os.makedirs(self.folder, exist_ok=True)
        self._hidden = os.path.join(self.folder, HIDDEN)
        self._state = os.path.join(self._hidden, "state.json")
        self.stages = self._read(key)
        self._key = key

    def _read(self, key):
        if not os.path.exists(self._state):
            return []
        state = files.load_json(self._state)
        if state["key"] != key:
            raise ValueError(
                "Expected `output` to be a new folder, or that of the same run: model, "
                f"data, goal and options. Received: {self.folder}, which holds an "
                "unfinished run of something else. Remove it, or name another folder."
            )
        return state["stages"]

    @property
    def backups(self):
        """The folder of the stage that runs."""
        return os.path.join(self._hidden, f"stage_{len(self.stages)}")

    def save(self, stage, model):
        """Note a finished stage; its model, where it meets the goal."""
        os.makedirs(self._hidden, exist_ok=True)
        if stage["meets"]:
            copies.save(model, os.path.join(self._hidden, "best.keras"))
        backups = self.backups
        self.stages.append(stage)
        files.save_json({"key": self._key, "stages": self.stages}, self._state)
        shutil.rmtree(backups, ignore_errors=True)

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
            with files.replacing(os.path.join(self.folder, "model.keras")) as temporary:
                shutil.copy(best, temporary)

    def finish(self, record):
        """Write the result, and remove what was for going on."""
        files.save_json(record, os.path.join(self.folder, DONE))
        shutil.rmtree(self._hidden, ignore_errors=True)

    def close(self):
        if self._temporary is not None:
            self._temporary.cleanup()


def check(folder):
    """Raise, before any work, if no run can be in the folder.

    Raises:
        TypeError: if it is no path.
        ValueError: if it can't be written, or holds a finished run.
    """
    if os.path.exists(os.path.join(folder, DONE)):
        raise ValueError(
            "Expected `output` to be a new folder, or that of an unfinished run. "
            f"Received: {folder}, which holds a run that is done"
        )
    above = os.path.abspath(folder)
    while not os.path.exists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above) or not os.access(above, os.W_OK):
        raise ValueError(
            f"Expected `output` to be a folder that can be written. Received: {folder}"
        )


def fingerprint(model, data, **options):
    """A str of the model's weights, the arrays, and the options."""
    hashed = hashlib.sha256()
    for variable in model.variables:
        hashed.update(np.array(variable).tobytes())
    for x in keras.tree.flatten((data.samples, data.steps)):
        hashed.update(str(zlib.crc32(np.ascontiguousarray(x).tobytes())).encode())
    hashed.update(json.dumps(options, sort_keys=True, default=str).encode())
    return hashed.hexdigest()
