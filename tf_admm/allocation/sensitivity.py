"""How much the loss rises as one kernel alone is projected."""

import hashlib
import json
import os
from collections.abc import Iterator

import keras
import numpy as np

from tf_admm import files

#: Fractions of units kept, at which the loss is measured.
DENSITIES = (0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.055, 0.035, 0.025)
DENSITIES += (0.016, 0.011, 0.008, 0.005, 0.003, 0.002, 0.0)
#: In place of a loss that is not finite.
BEYOND = 1e30


class OfKernel:
    """A kernel that is projected alone.

    Attributes:
        path: its structural path.
        variables: the weights that are projected, here one.
    """

    def __init__(self, kernel, family):
        self.path = kernel.path
        self.variables = [kernel.variable]
        self._kernel = kernel
        self._family = family

    def projected(self, weights, density):
        """The weights with so much of their units kept."""
        (w,) = weights
        projected = self._family(1.0 - density)(self._kernel.canonical(w))
        return [self._kernel.original(projected)]


def curves(model, items, family, data, cache=None, verbose=1):
    """The loss of the model with one item projected, for several densities.

    The model's weights are put back, whatever happens.

    Args:
        model: a compiled Keras model.
        items: list of what is projected alone, with what `OfKernel` has.
        family: a function from a sparsity to a constraint.
        data: held-out data: `(x, y)`, `(x, y, sample_weight)`, or a dataset.
        cache: a file that the losses are kept in, for the same weights, constraints,
            arrays and dense loss; `None` for no file.
        verbose: 0 to draw no progress bar.

    Returns:
        Dict from paths to lists of `[density, loss]`, from 1.0 down.

    Raises:
        ValueError: if `data` is none of these, or the loss on it is not finite; if
            `cache` is a file of something else.
    """
    arguments, found = _arguments(data), _read(cache)
    dense = _dense_loss(model, arguments)
    if not np.isfinite(dense):
        raise ValueError(
            "Expected data on which the loss of the model is finite. Received: data "
            f"on which it is {dense}"
        )
    key = _fingerprint(model, family, arguments, dense)
    found = found["curves"] if found["key"] == key else {}
    missing = [item for item in items if item.path not in found]
    if missing:
        # A file that can't be written is an error before the work.
        _write(cache, key, found)
        total = len(missing) * len(DENSITIES)
        progress = keras.utils.Progbar(total, unit_name="loss", verbose=verbose)
        for item in missing:
            curve = _curve(model, item, arguments, progress)
            found[item.path] = [[1.0, dense], *curve]
            _write(cache, key, found)
    return {item.path: found[item.path] for item in items}


def _dense_loss(model, arguments):
    try:
        return _loss(model, arguments)
    # Keras and its backends raise whatever comes up.
    except Exception as error:
        raise ValueError(
            "Expected `data` that the model can be evaluated on. Received: data of "
            f"which Keras says: {' '.join(str(error).split())[:300]}"
        ) from error


def _curve(model, item, arguments, progress):
    weights = [keras.ops.copy(variable) for variable in item.variables]
    try:
        for density in DENSITIES:
            for variable, w in zip(item.variables, item.projected(weights, density)):
                variable.assign(w)
            # A loss beyond any scale is as bad as can be.
            loss = np.nan_to_num(_loss(model, arguments), nan=BEYOND, posinf=BEYOND)
            yield [density, float(loss)]
            progress.add(1)
    finally:
        for variable, w in zip(item.variables, weights):
            variable.assign(w)


def _arguments(data):
    """What `model.evaluate` is given; an error if it can't be given it many times."""
    parts = data if isinstance(data, tuple) else (data,)
    no_dataset = isinstance(data, tuple | list | dict | np.ndarray | Iterator)
    if len(parts) not in (2, 3) and no_dataset:
        raise ValueError(
            "Expected `data` to be `(x, y)`, `(x, y, sample_weight)`, or a dataset, "
            f"which can be gone through many times. Received: {type(data)}"
        )
    return dict(zip(("x", "y", "sample_weight"), parts))


def _loss(model, arguments):
    logs = model.evaluate(**arguments, verbose=0, return_dict=True)
    # Keras warns of no data, and leaves the loss out.
    return float(logs.get("loss", np.nan))


def _fingerprint(model, family, arguments, dense):
    """What the losses depend on; the loss, and a dataset, by the dense loss."""
    sets = [keras.saving.serialize_keras_object(family(1 - d)) for d in DENSITIES]
    digest = hashlib.sha256(json.dumps([sets, dense]).encode())
    arrays = keras.tree.flatten(arguments) if "y" in arguments else []
    for array in (*model.get_weights(), *arrays):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read(path):
    """What `curves` wrote to a file, if there is one."""
    if not path or not os.path.exists(path):
        return {"key": None, "curves": {}}
    try:
        record = files.load_json(path)
        good = set(record) == {"key", "curves"}
    except (OSError, TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            "Expected `cache` to be a file that an earlier call wrote, or a new one. "
            f"Received: {path}, which holds something else"
        )
    return record


def _write(path, key, curves):
    if path:
        files.save_json({"key": key, "curves": curves}, path)
