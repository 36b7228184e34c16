"""Export to TFLite files, checked before they are written."""

import dataclasses
import os
import warnings
from typing import Any

import keras

from tf_admm import files
from tf_admm.export import checking
from tf_admm.export import elsewhere
from tf_admm.export.tflite import abroad
from tf_admm.export.tflite import arena
from tf_admm.export.tflite import conversion
from tf_admm.export.tflite import quirks
from tf_admm.export.tflite import report
from tf_admm.export.tflite.precision import Precision
from tf_admm.export.tflite.signature import Signature
from tf_admm.structure.checks import check_built
from tf_admm.structure.checks import check_floats
from tf_admm.structure.precision import float32_compute

#: Rows of the representative data that outputs are compared on.
COMPARED_ROWS = 64


def to_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    sparse: bool = True,
    samples: Any = None,
    dtype: str = "float32",
    representative: Any = None,
    io_dtype: str = "float32",
    select_tf_ops: bool = False,
) -> report.ExportReport:
    """Writes `model` as a TFLite file that has been run and compared.

    The file is run with and without the default delegate, and each output must
    be within a tolerance times max(1, max|y|) of `model(x, training=False)`: 1e-5
    for float32, 1e-2 for float16, and for int8 0.25, where the same share of the
    root mean square is enough, too. That says no more than that it is no garbage:
    its accuracy is for you to measure. Each kernel is
    stored sparse where that is smaller: fully-connected ones in a form that runs
    sparse, others behind a DENSIFY, which makes them dense as the file is loaded.
    Where no sparse file is smaller, or none agrees, the dense one is written, with
    a warning. An existing file is replaced only when all of this has succeeded.

    Mixed-precision models compute in float32 in the file, and are compared with
    themselves computing in float32: their own rounding, about 1e-3 in float16,
    is not in the file.

    The states of stateful recurrent layers are zero as the file starts, and for each
    comparison; those of `model` are left as they were.

    Where Keras runs on another backend than TensorFlow, a process of its own, with the
    TensorFlow backend, does this on the model's `.keras` file. The file is then run
    here, too, and compared with the model on the backend that it is on.

    Args:
        model: a built Keras model that is called on one structure of inputs.
        path: the file to write; its folder must exist.
        sparse: whether to store sparse kernels sparse.
        samples: inputs to compare on, arrays in the structure that the model is
            called on. By default random: standard normal, and 0 or 1 for integer
            inputs. Needed for subclassed models whose inputs aren't floats. For
            int8 the first of `representative`, since others may be out of range.
        dtype: what weights are stored as: `"float32"`, `"float16"`, or `"int8"`,
            in which activations are int8 too.
        representative: for int8, inputs as `samples`; the ranges of activations
            come from their first 500 rows.
        io_dtype: for int8, what floating-point inputs and outputs are: `"float32"`,
            or `"int8"`, x / scale + zero point by the scale and zero point of each
            in the file, as TFLite Micro has them. It runs no sparse kernels either,
            so give `sparse=False`, too.
        select_tf_ops: whether TensorFlow's own operators may stand in for those that
            TFLite lacks. Such a file runs in an interpreter with the Flex delegate
            only, which TensorFlow has up to 2.19; where none is installed that could
            run it, nothing is written.

    Returns:
        An `ExportReport`.

    Example:

    ```python
    report = tf_admm.export.to_tflite(
        model, "model.tflite", dtype="int8", representative=x_train[:200],
        io_dtype="int8", sparse=False,
    )
    print(report.bytes, report.arena_bytes)
    ```

    Raises:
        TypeError, ValueError: if an argument is not as described; raised
            before anything is converted.
        ImportError: if a package that this needs is not there, TensorFlow too.
        RuntimeError: if even the dense file can't be made, or disagrees;
            nothing is written then.
    """
    check_built(model)
    check_floats(model)
    path = checking.checked_path(path)
    _check_flags(sparse=sparse, select_tf_ops=select_tf_ops)
    precision = Precision(dtype, (), io_dtype, select_tf_ops)
    _check_representative(dtype, representative)
    example = samples if representative is None else representative
    signature = Signature(model, example)
    precision = dataclasses.replace(precision, rows=_rows(signature, representative))
    if samples is None and precision.rows:
        size = signature.batch or 1
        rows = max(COMPARED_ROWS // size, 1) * size
        samples = keras.tree.map_structure(lambda x: x[:rows], representative)
    flat = signature.random() if samples is None else signature.flatten(samples)
    checking.check_tflite()
    if elsewhere.is_needed():
        return abroad.to_tflite(
            written_there, model, path, signature, flat, sparse, precision
        )
    return _written(model, path, signature, flat, sparse, precision)


def written_there(model, path, example, names, flat, sparse, precision):
    """What the other process does for `abroad`."""
    signature = Signature(model, example)
    # A model that was loaded may name its inputs otherwise.
    signature.names = names
    return _written(model, path, signature, flat, sparse, precision)


def _written(model, path, signature, flat, sparse, precision):
    with float32_compute(model):
        dense, small, batch = conversion.convert(
            model, signature, flat, sparse, precision
        )
    return write(path, precision.dtype, dense, small, batch)


def write(path, dtype, dense, small, batch):
    """Write the smaller of two `Candidate`s if nothing is wrong with it, and report."""
    written = small if small.problem is None else dense
    with files.replacing(path) as temporary, open(temporary, "xb") as file:
        file.write(written.data)
        file.flush()
        os.fsync(file.fileno())
    result = _report(path, dtype, dense, written, batch, small.problem)
    if quirks.fails_without_avx(written.data):
        warnings.warn(
            f"{path}: LiteRT can't run it on x86 processors without AVX, and perhaps "
            "not on others, for a convolution follows a mean over positions. Let a "
            "Dense layer follow a GlobalAveragePooling2D without `keepdims`.",
            stacklevel=3,
        )
    if result.fallback:
        warnings.warn(
            f"{path}: wrote the dense file instead of a sparse one. "
            f"Reason: {result.fallback}.",
            stacklevel=3,
        )
    return result


def _check_flags(**flags):
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(
                f"Expected `{name}` to be True or False. Received: {name}={value!r} of "
                f"type {type(value)}"
            )


def _check_representative(dtype, representative):
    if (dtype == "int8") != (representative is not None):
        raise ValueError(
            "Expected `representative` inputs for dtype='int8', and for no other. "
            f"Received: dtype={dtype!r}, representative={type(representative)}"
        )


def _rows(signature, representative):
    """Rows, or batches of the size that the model insists on."""
    if representative is None:
        return ()
    flat, size = (
        signature.flatten(representative, "representative"),
        signature.batch or 1,
    )
    starts = range(0, len(flat[0]), size)
    return tuple([x[i : i + size] for x in flat] for i in starts)


def _report(path, dtype, dense, written, batch, fallback):
    return report.ExportReport(
        path=path,
        dtype=dtype,
        bytes=len(written.data),
        gzip_bytes=report.gzip_size(written.data),
        dense_bytes=len(dense.data),
        dense_gzip_bytes=report.gzip_size(dense.data),
        max_difference=written.comparison.difference,
        tolerance=written.comparison.tolerance,
        sparse_tensors=report.sparse_tensors(written.data),
        batch=batch,
        arena_bytes=arena.arena_bytes(written.data),
        fallback=fallback,
    )
