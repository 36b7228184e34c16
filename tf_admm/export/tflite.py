"""Export to float32 TFLite files, checked before they are written."""

import os
import warnings

import keras

from tf_admm import files
from tf_admm.export import conversion
from tf_admm.export import report
from tf_admm.export import runtime
from tf_admm.export.signature import Signature


def to_tflite(model, path, sparse=True, samples=None):
    """Writes `model` as a float32 TFLite file that has been run and compared.

    The file is run with and without the default delegate, and each output must
    be within 1e-5 * max(1, max|y|) of `model(x, training=False)`. Each kernel is
    stored sparse where that is smaller: fully-connected ones in a form that runs
    sparse, others behind a DENSIFY, which makes them dense as the file is loaded.
    Where no sparse file is smaller, or none agrees, the dense one is written, with
    a warning. An existing file is replaced only when all of this has succeeded.

    Mixed-precision models compute in float32 in the file, and are compared with
    themselves computing in float32: their own rounding, about 1e-3 in float16,
    is not in the file.

    Args:
        model: a built Keras model that is called on one structure of inputs.
        path: the file to write; its folder must exist.
        sparse: whether to store sparse kernels sparse.
        samples: inputs to compare on, arrays in the structure that the model is
            called on. By default random: standard normal, and 0 or 1 for integer
            inputs. Needed for subclassed models whose inputs aren't floats.

    Returns:
        An `ExportReport`.

    Raises:
        TypeError, ValueError: if an argument is not as described; raised
            before anything is converted.
        RuntimeError: if even the dense file can't be made, or disagrees;
            nothing is written then.
    """
    _check_model(model)
    path = _checked_path(path)
    signature = Signature(model, samples)
    flat = signature.random() if samples is None else signature.flatten(samples)
    with runtime.float32_compute(model):
        dense, small, batch = conversion.convert(model, signature, flat, sparse)
    written = small if sparse and small.problem is None else dense
    _write(path, written.data)
    result = _report(path, dense, written, batch, small.problem)
    if result.fallback:
        warnings.warn(
            f"{path}: wrote the dense file instead of a sparse one. "
            f"Reason: {result.fallback}.",
            stacklevel=2,
        )
    return result


def _report(path, dense, written, batch, fallback):
    return report.ExportReport(
        path=path,
        bytes=len(written.data),
        gzip_bytes=report.gzip_size(written.data),
        dense_bytes=len(dense.data),
        dense_gzip_bytes=report.gzip_size(dense.data),
        max_difference=written.comparison.difference,
        tolerance=written.comparison.tolerance,
        sparse_tensors=report.sparse_tensors(written.data),
        batch=batch,
        fallback=fallback,
    )


def _write(path, data):
    with files.replacing(path) as temporary, open(temporary, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _check_model(model):
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Expected Keras to run on TensorFlow. Received: backend "
            f"{keras.backend.backend()!r}"
        )
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Expected `model` to be a `keras.Model`. Received: "
            f"model={model!r} of type {type(model)}"
        )
    if not model.built:
        raise ValueError(
            f"Expected model {model.name!r} to be built: call it on data, or "
            "give it an input shape. Received: a model that isn't built"
        )


def _checked_path(path):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            "Expected `path` to be a string or a path. Received: "
            f"path={path!r} of type {type(path)}"
        )
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    if not path or os.path.isdir(path):
        raise ValueError(
            f"Expected `path` to name a file. Received: path={path!r}, which "
            "is a folder or empty"
        )
    if not os.path.isdir(folder):
        raise ValueError(
            "Expected the folder of `path` to exist. Received: "
            f"path={path!r}, whose folder {folder!r} doesn't"
        )
    if not os.access(folder, os.W_OK):
        raise ValueError(
            "Expected the folder of `path` to be writable. Received: "
            f"path={path!r}, whose folder {folder!r} isn't"
        )
    return path
