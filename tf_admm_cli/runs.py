"""The folder of a run: what may be in it before, and what is after."""

import os
import pathlib
import shutil

from tf_admm_cli import paths
from tf_admm_cli.problems import BadInput

#: What shows that a run is done, and that one is not.
DONE, UNFINISHED = "result.json", ".run"
WRITTEN = ("model.keras", "*.tflite", "report.html", DONE)


def check(folder, overwrite):
    """Raise if the folder can't be written to, or anything in it would be replaced.

    An unfinished run goes on.
    """
    paths.check_new_folder("--output", folder)
    there = _there(folder)
    unfinished = os.path.isdir(os.path.join(folder, UNFINISHED))
    done = os.path.join(folder, DONE) in map(str, there)
    if overwrite or not there or (unfinished and not done):
        return
    what = "a run that is done" if done else there[0].name
    raise BadInput(
        "--output",
        "Expected a new folder, or --overwrite. Received: "
        f"{folder}, which holds {what}",
    )


def _there(folder):
    return [
        path for name in WRITTEN for path in sorted(pathlib.Path(folder).glob(name))
    ]


def clear(folder):
    """Remove what a run writes, and nothing else."""
    for path in _there(folder):
        path.unlink()
    shutil.rmtree(os.path.join(folder, UNFINISHED), ignore_errors=True)


def listed(folder):
    """What a run has written."""
    return ", ".join(path.name for path in _there(folder))


def left(folder):
    """What a run that was stopped has left, and how it goes on."""
    best = os.path.join(folder, "model.keras")
    if os.path.exists(best):
        return f"The best so far is {best}. The same command goes on from there."
    if os.path.isdir(os.path.join(folder, UNFINISHED)):
        return "Nothing was good enough yet. The same command goes on from here."
    return "Nothing was written yet."
