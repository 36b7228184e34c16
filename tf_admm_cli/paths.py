"""Paths, checked before anything heavy is imported."""

import os
import tempfile
import zipfile

from tf_admm_cli.problems import BadInput

#: Files that data may be.
TABLES = (".npz", ".npy", ".csv")
DATA = "a .npz or .csv file, two .npy files, or a folder of images"


def check_file(name, path, *endings):
    """Raise unless there is a file of one of these endings.

    Args:
        name: the flag or argument that the path was given by.
        path: the path.
        endings: such as `".keras"`; none for any.
    """
    expected = f"a {' or '.join(endings) or 'readable'} file"
    if not os.path.isfile(path):
        raise BadInput(name, f"Expected {expected}. Received: {_found(path)}")
    if endings and not path.endswith(endings):
        raise BadInput(name, f"Expected {expected}. Received: {path}")
    if not os.access(path, os.R_OK):
        raise BadInput(name, f"Expected {expected}. Received: {path}, not readable")


def _found(path):
    return f"{path}, {'a folder' if os.path.isdir(path) else 'which is not there'}"


def check_model(name, path):
    """Raise unless there is a .keras file, which is a zip file."""
    check_file(name, path, ".keras")
    if not zipfile.is_zipfile(path):
        raise BadInput(
            name, f"Expected a .keras file as Keras saves it. Received: {path}, damaged"
        )


def check_data(name, paths, labels=True):
    """Raise unless the paths may be data.

    Args:
        name: the flag or argument that the paths were given by.
        paths: list of one, or two for a pair of .npy files.
        labels: whether labels are needed.
    """
    if not os.path.exists(paths[0]):
        raise BadInput(name, f"Expected {DATA}. Received: {_found(paths[0])}")
    if os.path.isdir(paths[0]):
        _check_count(name, paths, 1)
        return
    if not paths[0].lower().endswith(TABLES):
        raise BadInput(name, f"Expected {DATA}. Received: {paths[0]}")
    is_pair = labels and paths[0].lower().endswith(".npy")
    for path in paths[1:]:
        check_file(name, path, ".npy")
    _check_count(name, paths, 2 if is_pair else 1)


def _check_count(name, paths, count):
    if len(paths) != count:
        expected = "the .npy file of the inputs and that of the labels"
        one = f"one path, since {paths[0]} is no .npy file of inputs"
        raise BadInput(
            name,
            f"Expected {expected if count == 2 else one}. Received: {', '.join(paths)}",
        )


def check_output(name, path, ending, overwrite):
    """Raise if no file can be written, or there is one already."""
    if os.path.isdir(path) or not path.endswith(ending):
        raise BadInput(name, f"Expected the name of a {ending} file. Received: {path}")
    check_folder(name, os.path.dirname(path) or ".", path)
    if os.path.lexists(path) and not overwrite:
        raise BadInput(
            name,
            f"Expected a file that is not there yet, or --overwrite. Received: {path}",
        )


def check_folder(name, folder, path):
    """Raise unless the folder of a path is there, and can be written to."""
    try:
        # Of /proc, and of a disk that is mounted to be read, permissions may say yes.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadInput(
            name, f"Expected a folder that can be written to. Received: {path}"
        ) from error


def check_new_folder(name, path):
    """Raise unless a folder is there and can be written to, or can be made."""
    if os.path.lexists(path) and not os.path.isdir(path):
        raise BadInput(name, f"Expected a folder. Received: {path}, which is a file")
    parent = os.path.abspath(path)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    check_folder(name, parent, path)
