"""Export to ONNX files, run by ONNX Runtime."""

import dataclasses
import functools
import os
from typing import Any

import keras

from tf_admm import files
from tf_admm.export import checking
from tf_admm.export.artifacts import asked
from tf_admm.export.artifacts import report
from tf_admm.export.artifacts import tf2onnx_file
from tf_admm.structure import walking
from tf_admm.structure.checks import check_built

#: What `pip install tf_admm[onnx]` has.
PACKAGES = ("onnx", "onnxruntime", "tf2onnx")


def to_onnx(
    model: keras.Model, path: str | os.PathLike, *, samples: Any = None
) -> report.ArtifactReport:
    """Writes `model` as an ONNX file that has been run and compared.

    Keras' own `export` writes it, by tf2onnx. ONNX Runtime then runs it, and each
    output must be within 1e-5 max(1, max|y|) of `model(x, training=False)`. An existing
    file is replaced only when all of this has succeeded. Weights are stored as they
    are, zeros too; ONNX Runtime has no kernels for sparse ones.

    Inputs and outputs are called as in the files of `to_tflite`. Mixed-precision models
    compute in float32 in the file.

    Where Keras runs on another backend than TensorFlow, a process of its own, with the
    TensorFlow backend, writes the file. It is run here, too, and compared with the
    model on the backend that it is on.

    Args:
        model: a built Keras model that is called on one structure of inputs.
        path: the file to write; its folder must exist.
        samples: inputs to compare on, arrays in the structure that the model is
            called on. By default random: standard normal, and 0 or 1 for integers.

    Returns:
        An `ArtifactReport`.

    Raises:
        TypeError, ValueError: if an argument is not as described; raised before
            anything is converted. Stateful recurrent layers are refused: their states
            would be lost.
        ImportError: if there is no TensorFlow, or none of `pip install tf_admm[onnx]`.
        RuntimeError: if no file can be made, or run, or if it disagrees; nothing is
            written then.

    Example:

    ```python
    report = tf_admm.export.to_onnx(model, "model.onnx")
    print(report.bytes, report.zeros, report.max_difference)
    ```
    """
    check_built(model)
    path = checking.checked_path(path)
    checking.check_packages("ONNX files", PACKAGES, "tf_admm[onnx]")
    _check_stateless(model)
    wanted = asked.asked(model, samples)
    wanted = asked.asked(model, samples)
    with files.replacing(path) as temporary:
        wanted.written(tf2onnx_file.write, temporary, path)
        run = functools.partial(_run, _session(model, temporary), wanted.names)
        found = wanted.compared(run)
        result = report.report(model, temporary, "onnx", _weights(temporary), found)
    return dataclasses.replace(result, path=path)


def _check_stateless(model):
    stateful = [
        layer.name
        for layer, _ in walking.walk(model)
        if isinstance(layer, keras.layers.RNN) and layer.stateful
    ]
    if stateful:
        raise ValueError(
            "Expected a model that keeps nothing from one call to the next, as ONNX "
            f"files do not. Received: the model '{model.name}' with the stateful "
            f"layers {stateful}"
        )


def _session(model, path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise asked.failed(model, error) from error


def _run(session, names, inputs):
    return session.run(list(names[1]), dict(zip(names[0], inputs)))


def _weights(path):
    """Pairs of a name and an array, of all constants, those of loops' bodies too."""
    import onnx

    return list(_in_graph(onnx.load(path).graph))


def _in_graph(graph):
    import onnx

    for tensor in graph.initializer:
        yield tensor.name, onnx.numpy_helper.to_array(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield node.output[0], onnx.numpy_helper.to_array(attribute.t)
            if attribute.HasField("g"):
                yield from _in_graph(attribute.g)
