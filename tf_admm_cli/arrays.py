"""Arrays: a .npz file, or a pair of .npy files."""

import numpy as np

from tf_admm_cli import fitting
from tf_admm_cli import problems
from tf_admm_cli import quiet
from tf_admm_cli.problems import BadInput

#: Endings of the names of each part.
ENDINGS = {"train": ("_train", ""), "validation": ("_val",), "test": ("_test",)}
#: What `np.savez(path, x, y)` calls its arrays.
UNNAMED = {"arr_0": "x", "arr_1": "y"}


def load(paths, reading):
    """The parts that there are: dict from their names to `(x, y[, sample_weight])`."""
    found = _read(paths, reading.name)
    parts = {part: _part(found, endings, reading) for part, endings in ENDINGS.items()}
    if parts["train"] is None:
        raise _missing(list(found), paths[0], reading)
    unread = sorted(set(found) - _known(reading.spec))
    if unread:
        quiet.note(f"not read of {paths[0]}: {', '.join(unread)}")
    return {name: part for name, part in parts.items() if part is not None}


def _known(spec):
    """The names that arrays may have."""
    names = ["x", "y", "sample_weight", *spec.inputs, *spec.outputs]
    endings = [ending for each in ENDINGS.values() for ending in each]
    return {f"{name}{ending}".lower() for name in names for ending in endings}


def _missing(found, path, reading):
    names = _input_names(reading.spec)
    if reading.labels:
        names += ["y"] if len(reading.spec.outputs) < 2 else reading.spec.outputs
    return BadInput(
        reading.name,
        f"Expected arrays of the names {', '.join(names)} in {path}, or with _train "
        f"after each. Received: {', '.join(found) or 'none'}",
    )


def _read(paths, name):
    if paths[0].lower().endswith(".npy"):
        return {key: _npy(path, name) for key, path in zip("xy", paths)}
    try:
        # NumPy itself leaves a broken file open.
        with open(paths[0], "rb") as stream, np.load(stream) as file:
            found = {key.lower(): file[key] for key in file.files}
    except Exception as error:  # noqa: BLE001, whatever a broken file leads to
        raise _unreadable(paths[0], name, error) from error
    return {UNNAMED.get(key, key): value for key, value in found.items()}


def _npy(path, name):
    try:
        return np.load(path)
    except Exception as error:  # noqa: BLE001, as above
        raise _unreadable(path, name, error) from error


def _unreadable(path, name, error):
    # NumPy takes what it does not know for a pickle, and says how to read one.
    why = "" if "pickle" in str(error) else f" ({problems.last_line(error)})"
    return BadInput(name, f"Expected a file that NumPy can read. Received: {path}{why}")


def _input_names(spec):
    return list(spec.inputs) if len(spec.inputs) > 1 else ["x"]


def _part(found, endings, reading):
    """Inputs, labels and weights of a part, or `None` where there are none."""
    spec = reading.spec
    x = _named(found, _input_names(spec), endings)
    if x is None and len(spec.inputs) == 1:
        x = _named(found, list(spec.inputs), endings)
    y = _named(found, ["y"], endings)
    if y is None or len(spec.outputs) > 1:
        y = _named(found, list(spec.outputs) or ["y"], endings)
    if x is None or (y is None and reading.labels):
        return None
    weights = _named(found, ["sample_weight"], endings)
    return fitting.fitted(x, y, weights and weights[0], reading)


def _named(found, names, endings):
    """The arrays of these names, or `None` where not all are there."""
    for ending in endings:
        keys = [f"{name}{ending}".lower() for name in names]
        if all(key in found for key in keys):
            return [found[key] for key in keys]
    return None
