"""Export to SavedModels, by Keras, run by TensorFlow."""

import contextlib
import dataclasses
import io
import os
import shutil
import uuid
import warnings
from typing import Any

import keras

from tf_admm.export import checking
from tf_admm.export import elsewhere
from tf_admm.export.artifacts import asked
from tf_admm.export.artifacts import report
from tf_admm.export.tflite import states
from tf_admm.export.tflite.signature import Signature
from tf_admm.structure.checks import check_built
from tf_admm.structure.precision import float32_compute


def to_saved_model(
    model: keras.Model, path: str | os.PathLike, *, samples: Any = None
) -> report.ArtifactReport:
    """Writes `model` as a SavedModel that has been run and compared.

    Keras' own `export` writes it. `tf.saved_model.load` then reads it, and each output
    of its `serve` must be within 1e-5 max(1, max|y|) of `model(x, training=False)`. A
    SavedModel that is there is replaced only when all of this has succeeded. Weights
    are stored as they are, zeros too.

    Mixed-precision models compute in float32 in it.

    Where Keras runs on another backend than TensorFlow, a process of its own, with the
    TensorFlow backend, writes and runs it. Its outputs are compared with those of the
    model on the backend that it is on.

    Args:
        model: a built Keras model that is called on one structure of inputs, and whose
            outputs are a tensor, or a list or dict of them.
        path: the folder to write: new, empty, or a SavedModel. The folder that it is
            in must exist.
        samples: inputs to compare on, arrays in the structure that the model is
            called on. By default random: standard normal, and 0 or 1 for integers.

    Returns:
        An `ArtifactReport`.

    Raises:
        TypeError, ValueError: if an argument is not as described; raised before
            anything is written.
        ImportError: if there is no TensorFlow.
        RuntimeError: if it can't be written, or run, or if it disagrees; nothing is
            written then.

    Example:

    ```python
    tf_admm.export.to_saved_model(model, "served")
    served = tf.saved_model.load("served")
    print(served.serve(x_test[:1]))
    ```
    """
    check_built(model)
    path = checking.checked_folder(path)
    wanted = asked.asked(model, samples)
    # One process for all of it.
    with elsewhere.process_if_needed(), _replacing(path) as temporary:
        wanted.written(write, temporary, path)

        def serve(inputs):
            given = _plain(wanted.signature.pack(inputs))
            return elsewhere.call(run, None, temporary, path, given=given)

        found = wanted.compared(serve)
        weights = elsewhere.call(read, None, temporary, path)
        result = report.report(model, temporary, "saved_model", weights, found)
    return dataclasses.replace(result, path=path)


@contextlib.contextmanager
def _replacing(path):
    """As `files.replacing`, of a folder."""
    temporary, old = (f"{path.rstrip(os.sep)}.{uuid.uuid4().hex}.tmp" for _ in "ab")
    try:
        yield temporary
        if os.path.isdir(path):
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def write(model, path, example, names, batch):
    """Write the SavedModel, unchecked, with Keras on TensorFlow."""
    signature = Signature(model, example)
    inputs = signature.pack(asked.specs(signature, names[0], batch))
    try:
        with float32_compute(model), states.fresh(model), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(io.StringIO()):
                model.export(path, verbose=False, input_signature=[inputs])
    except Exception as error:
        raise asked.failed(model, error) from error


def run(path, given):
    """What `serve` makes of inputs in its structure: a flat list of NumPy arrays.

    It is loaded for this, so that what it keeps from call to call starts afresh.
    """
    import tensorflow as tf

    # Without it, its variables are gone.
    loaded = tf.saved_model.load(path)
    outputs = loaded.serve(given)
    return [tensor.numpy() for tensor in keras.tree.flatten(outputs)]


def read(path):
    """Pairs of a name and an array, of all variables that are stored."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    return [(variable.name, variable.numpy()) for variable in loaded.variables]


def _plain(nest):
    """A nest without what only Keras on this backend has."""
    if isinstance(nest, dict):
        return {key: _plain(value) for key, value in nest.items()}
    if isinstance(nest, list | tuple):
        plain = [_plain(value) for value in nest]
        return tuple(plain) if isinstance(nest, tuple) else plain
    return nest
