"""The folder of a run: what may be in it before, and what is after."""

import os
import pathlib

from tf_admm_cli import paths
from tf_admm_cli.problems import BadInput

#: What shows that a run is done, and that one is not.
DONE, UNFINISHED = "result.json", ".run"
MODEL = "model.keras"
WRITTEN = (MODEL, "*.tflite", "report.html", DONE)


def check(folder, overwrite, model):
    """Raise if the folder can't be written to, or anything in it would be replaced.

    An unfinished run goes on.

    Args:
        folder, overwrite: the flags.
        model: path of the model that the run begins with, which is never replaced.
    """
    paths.check_new_folder("--output", folder)
    result = os.path.join(folder, MODEL)
    if os.path.exists(result) and os.path.samefile(result, model):
        raise BadInput(
            "--output",
            "Expected another folder than that of MODEL, which would be replaced. "
            f"Received: {folder}",
        )
    there = [p for name in WRITTEN for p in sorted(pathlib.Path(folder).glob(name))]
    unfinished = os.path.isdir(os.path.join(folder, UNFINISHED))
    done = os.path.exists(os.path.join(folder, DONE))
    if overwrite or not there or (unfinished and not done):
        return
    what = "a run that is done" if done else there[0].name
    raise BadInput(
        "--output",
        "Expected a new folder, or --overwrite. Received: "
        f"{folder}, which holds {what}",
    )


def listed(files):
    """What a run has written, whose TFLite files these are."""
    names = [os.path.basename(path) for path in files.values()]
    return ", ".join([MODEL, *sorted(names), "report.html", DONE])


def left(folder):
    """What a run that was stopped has left, and how it goes on."""
    best = os.path.join(folder, MODEL)
    unfinished = os.path.isdir(os.path.join(folder, UNFINISHED))
    if unfinished and os.path.exists(best):
        return f"The best so far is {best}. The same command goes on from there."
    if unfinished:
        return "There is no smaller network yet. The same command goes on from here."
    return "Nothing was written yet."
