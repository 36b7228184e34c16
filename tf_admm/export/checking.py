"""What every export asks of a model, a path and the packages that are installed."""

import importlib.util
import os

import keras

from tf_admm import files


def checked_path(path):
    """`path` as a string, or an error if no file could be written there."""
    path = _in_a_folder(path)
    if not path or os.path.isdir(path):
        raise ValueError(
            f"Expected `path` to name a file. Received: path={path!r}, which "
            "is a folder or empty"
        )
    return path


def checked_folder(path):
    """`path` as a string, or an error if no SavedModel could be written there."""
    path = _in_a_folder(path)
    if not path or (os.path.lexists(path) and not _is_replaceable(path)):
        raise ValueError(
            "Expected `path` to name a folder that is new, empty or a SavedModel. "
            f"Received: path={path!r}"
        )
    return path


def _is_replaceable(path):
    """Whether nothing but a SavedModel is lost with what is there."""
    if not os.path.isdir(path):
        return False
    names = os.listdir(path)
    return not names or "saved_model.pb" in names


def _in_a_folder(path):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            "Expected `path` to be a string or a path. Received: "
            f"path={path!r} of type {type(path)}"
        )
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise ValueError(
            "Expected the folder of `path` to exist. Received: "
            f"path={path!r}, whose folder {folder!r} doesn't"
        )
    if not files.can_write(folder):
        raise ValueError(
            "Expected the folder of `path` to be writable. Received: "
            f"path={path!r}, whose folder {folder!r} isn't"
        )
    return path


def check_packages(purpose, names, install):
    """Raise unless modules can be imported, which they are not.

    Args:
        purpose: what they are for.
        names: of the modules.
        install: what `pip install` is given to have them.

    Raises:
        ImportError: if one is missing.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"Expected {', '.join(names)} for {purpose}: `pip install {install}`. "
            f"Received: no {', '.join(missing)}, with Keras on "
            f"{keras.config.backend()}"
        )


def check_tflite():
    """Raise unless there is what writes and runs TFLite files."""
    names = ["ai_edge_litert", "tensorflow"]
    check_packages("TFLite files", names, "ai-edge-litert tensorflow")
