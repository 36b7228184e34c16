"""Conversion to TFLite, in memory: candidate files and what is wrong with them."""

import contextlib
import dataclasses
import io
import warnings

import keras
import numpy as np
from absl import logging

from tf_admm.export import interrupts
from tf_admm.export.tflite import complaints
from tf_admm.export.tflite import encoder
from tf_admm.export.tflite import quirks
from tf_admm.export.tflite import rewriting
from tf_admm.export.tflite import runtime
from tf_admm.export.tflite import saving
from tf_admm.export.tflite.signature import output_names

#: What is said of a model whose inputs leave sizes open.
OPEN = "The sizes of its inputs are open, and one with fixed sizes may convert. "


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A file in memory, how it compares, and what is wrong with it if any."""

    data: bytes = b""
    comparison: runtime.Comparison | None = None
    problem: str | None = None
    error: Exception | None = None


def convert(model, signature, flat, sparse, precision):
    """Converts a model, and runs what comes out.

    Args:
        model: the Keras model.
        signature: its `Signature`.
        flat: list of inputs to compare on.
        sparse: whether to try sparse storage.
        precision: the `Precision` of the weights.

    Returns:
        `(dense, small, batch)`: the dense `Candidate`, which agrees with the
        model; the sparse one, or the dense again if `sparse` is false; the
        batch size of both, None if any will do.

    Raises:
        ValueError: if Keras can't run the model on `flat`.
        RuntimeError: if no dense file agrees with the model.
    """
    problems = {}
    for batch in batch_sizes(model, signature, flat):
        known, names = cases(model, signature, flat, batch)
        dense = _dense(model, signature, batch, known, names, precision)
        if dense.problem is None:
            small = dense
            if sparse:
                small = _sparse(dense, names, known, precision)
            return dense, small, batch
        problems.setdefault(dense.problem, []).append(batch or "any")
        logging.info("%s, batch %s: %s", model.name, batch, dense.problem)
    is_open = any(None in shape[1:] for shape in signature.shapes)
    raise RuntimeError(
        f"Expected model {model.name!r} to convert to a TFLite file that agrees "
        f"with it. Received: {_listed(problems)}. {OPEN * is_open}Nothing was written."
    ) from dense.error


def _listed(problems):
    """Problems with the batch sizes that have them."""
    return "; ".join(
        f"of batch size {' and '.join(map(str, sizes))}: {problem}"
        for problem, sizes in problems.items()
    )


def batch_sizes(model, signature, flat):
    """What to try of `None`, for any batch size, and a fixed one."""
    # Recurrent layers convert at a fixed batch size only.
    if signature.batch is None:
        return (None, 1)
    # A model called once on two rows also says that it wants two: ask it.
    try:
        cases(model, signature, flat, None)
    except Exception:
        return (signature.batch,)
    return (None, signature.batch)


def cases(model, signature, flat, batch):
    """Batches of inputs and outputs, and the names of both.

    Raises:
        ValueError: if Keras can't run the model on `flat`.
    """
    first, *others = runtime.batches(flat, batch)
    outputs = runtime.predict(model, signature, first)
    names = signature.names, output_names(outputs)
    outputs = keras.tree.flatten(outputs)
    if batch == 1 and signature.batch is None:
        rest = _of_rows(model, signature, flat, outputs)
    else:
        rest = (_outputs(model, signature, inputs) for inputs in others)
    return [(first, outputs), *zip(others, rest)], names


def _outputs(model, signature, inputs):
    return keras.tree.flatten(runtime.predict(model, signature, inputs))


def _of_rows(model, signature, flat, first):
    """The outputs of each row but the first, whose outputs these are.

    Of all rows at once, which takes as long as one, unless a row's outputs are others
    beside other rows.
    """
    whole = _outputs(model, signature, flat)
    rows = range(1, len(flat[0]))
    if all(
        a.shape == b[:1].shape and np.allclose(a, b[:1], 1e-5, 1e-6)
        for a, b in zip(first, whole)
    ):
        return [[y[i : i + 1] for y in whole] for i in rows]
    return [_outputs(model, signature, [x[i : i + 1] for x in flat]) for i in rows]


def _dense(model, signature, batch, cases, names, precision):
    """The file that the sparse ones are made from."""
    # Keras, the converter and the runtimes raise whatever comes up: ConverterError,
    # RuntimeError, ValueError, SystemError.
    try:
        with saving.saved(model, signature, names, batch) as (folder, graph):
            data = _converted(folder, graph, names, precision)
        if precision.io_dtype == "int8" and quirks.float_ends(data):
            return Candidate(
                problem="the converter leaves inputs and outputs in float32: "
                f"{quirks.float_ends(data)}"
            )
        return _fastest(data, names, cases, precision)
    except Exception as error:
        return Candidate(problem=complaints.gist(error, model), error=error)


def _fastest(data, names, cases, precision):
    """The file as LiteRT runs it fast, if that agrees; or as it is."""
    try:
        # Files of int8 ends are for other runtimes.
        fast = rewriting.faster(data, for_litert=precision.io_dtype != "int8")
    # A file may have what no rule has seen; it is right as it is.
    except Exception as error:
        logging.info("not rewritten: %s", complaints.gist(error))
        fast = data
    if fast is not data:
        candidate = _tried(fast, names, cases, precision)
        if candidate.problem is None:
            return candidate
        logging.info("rewritten: %s", candidate.problem)
    return _compared(data, names, cases, precision)


def _converted(folder, graph, names, precision):
    """The bytes of the file that the converter makes of a SavedModel."""
    import tensorflow as tf

    # The converter's calibration of a loop ends the process.
    if precision.dtype == "int8" and quirks.has_loops(graph):
        raise ValueError(
            "int8 is not supported for a model with loops, such as recurrent layers; "
            "with `unroll=True`, for sequences of one length, these have none"
        )
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        # Of every int8 conversion, about the converter's own ways.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is")
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        precision.configure(converter, names[0])
        with interrupts.kept():
            return converter.convert()


def of_file(data, names, cases, sparse, precision):
    """The same of a file that is there: `(dense, small)`.

    Raises:
        RuntimeError: if it doesn't agree with the outputs of `cases`.
    """
    dense = _fastest(data, names, cases, precision)
    if dense.problem is not None:
        raise RuntimeError(
            "Expected a TFLite file that agrees with the model. Received: one of "
            f"which {dense.problem}. Nothing was written."
        )
    return dense, _sparse(dense, names, cases, precision) if sparse else dense


def _sparse(dense, names, cases, precision):
    """The smallest sparse file that agrees, or what is wrong with the last."""
    for native in (True, False):
        data = encoder.encode(dense.data, native)
        if len(data) >= len(dense.data):
            return Candidate(problem="the sparse file is not smaller")
        small = _tried(data, names, cases, precision)
        if small.problem is None:
            break
        logging.info("native=%s: %s", native, small.problem)
    return small


def _tried(data, names, cases, precision):
    """The same as `_compared`, of a file that may not even run."""
    try:
        return _compared(data, names, cases, precision)
    except Exception as error:
        return Candidate(problem=complaints.gist(error), error=error)


def _compared(data, names, cases, precision):
    constant = quirks.kills(data)
    if constant:
        raise ValueError(
            f"the representative data leave {constant[0]!r} at one value, which int8 "
            "has no scale for"
        )
    comparison = runtime.compare(
        data, names, cases, precision.tolerance, precision.on_average
    )
    if comparison.agrees:
        return Candidate(data, comparison)
    return Candidate(
        data,
        comparison,
        f"its outputs differ by {comparison.difference:.2e} from the model's "
        f"(allowed: {comparison.tolerance:.2e})",
    )
