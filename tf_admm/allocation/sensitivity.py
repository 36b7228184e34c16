"""How much the loss rises as one kernel alone is projected."""

import hashlib
import json
import os

import keras
import numpy as np

from tf_admm import files

#: Fractions of units kept, at which the loss is measured.
DENSITIES = (0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.055, 0.035, 0.025)
DENSITIES += (0.016, 0.011, 0.008, 0.005, 0.003, 0.002, 0.0)


def curves(model, kernels, family, data, cache=None):
    """The loss of the model with one kernel projected, for several sparsities.

    The model's weights are put back, whatever happens.

    Args:
        model: a compiled Keras model.
        kernels: list of `Kernel`.
        family: a function from a sparsity to a constraint.
        data: held-out data as for `model.evaluate`: `(x, y)`, or a dataset.
        cache: a file that the losses are kept in, for the same weights, constraints
            and dense loss (which other data or another loss would change); `None`
            for no file.

    Returns:
        Dict from paths to lists of `[density, loss]`, from 1.0 down.
    """
    dense = _loss(model, data)
    key = _fingerprint(model, family, dense)
    found = _cached(cache, key)
    missing = [kernel for kernel in kernels if kernel.path not in found]
    if missing:
        progress = keras.utils.Progbar(len(missing) * len(DENSITIES), unit_name="loss")
        for kernel in missing:
            found[kernel.path] = [
                [1.0, dense],
                *_curve(model, kernel, family, data, progress),
            ]
            if cache:
                files.save_json({"key": key, "curves": found}, cache)
    return {kernel.path: found[kernel.path] for kernel in kernels}


def _curve(model, kernel, family, data, progress):
    weights = keras.ops.copy(kernel.variable)
    try:
        for density in DENSITIES:
            projected = family(1.0 - density)(kernel.canonical(weights))
            kernel.variable.assign(kernel.original(projected))
            yield [density, _loss(model, data)]
            progress.add(1)
    finally:
        kernel.variable.assign(weights)


def _loss(model, data):
    arguments = data if isinstance(data, tuple) else (data,)
    logs = model.evaluate(*arguments, verbose=0, return_dict=True)
    # A loss beyond any scale is as bad as can be.
    return float(np.nan_to_num(logs["loss"], nan=1e30, posinf=1e30))


def _fingerprint(model, family, dense):
    """What the losses depend on; the data and the loss by the dense loss."""
    sets = [keras.saving.serialize_keras_object(family(1 - d)) for d in DENSITIES]
    digest = hashlib.sha256(json.dumps([sets, dense]).encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _cached(path, key):
    if not path or not os.path.exists(path):
        return {}
    with open(path) as file:
        record = json.load(file)
    return record["curves"] if record["key"] == key else {}
