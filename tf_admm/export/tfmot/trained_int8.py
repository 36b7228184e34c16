"""Quantisation-aware training by tfmot, to an int8 file."""

import contextlib
import io
import os
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tf_admm.export import checking
from tf_admm.export import interrupts
from tf_admm.export.tflite import conversion
from tf_admm.export.tflite import report
from tf_admm.export.tflite import writing
from tf_admm.export.tflite.precision import Precision
from tf_admm.export.tfmot import legacy
from tf_admm.export.tfmot import rebuilding
from tf_admm.structure.checks import check_built

#: Random samples that a file is compared on.
SAMPLES = 8


def to_int8_by_training(
    model: keras.Model,
    path: str | os.PathLike,
    train: Callable[[Any], Any],
    *,
    sparse: bool = True,
) -> tuple[report.ExportReport, Any]:
    """Prune-preserving quantisation-aware training, then an int8 TFLite file.

    The model is made again in tf_keras, with tfmot's fake quantisation that keeps
    zeros zero, trained by `train`, converted, and its kernels stored sparse where
    that is smaller. The file is run with and without the default delegate, and
    compared with the trained model, before it is written.

    Args:
        model: a pruned, built functional or sequential Keras 3 model.
        path: the file to write; its folder must exist.
        train: function that compiles and fits the `tf_keras.Model` it is given.
        sparse: whether to store sparse kernels sparse.

    Returns:
        `(report, trained)`: an `ExportReport`, and the `tf_keras.Model` as trained.

    Raises:
        ValueError: if a layer can't be made in tf_keras, or tfmot has no
            quantisation for it; if there are no zeros.
        RuntimeError: if a zero was lost, or the file disagrees with the model;
            nothing is written then.
    """
    check_built(model)
    path = checking.checked_path(path)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Expected a model of one input and one output. Received: the model "
            f"'{model.name}' of {len(model.inputs)} and {len(model.outputs)}"
        )
    with legacy.tfmot() as tfmot:
        _check_trainable(model)
        plain, _ = rebuilding.rebuild(model)
        trained = _quantised(tfmot, plain)
        _check_quantised(model, trained)
        train(trained)
        _check_zeros(model, trained)
        dense, small = _converted(trained, sparse)
    return writing.write(path, "int8", dense, small, None), trained


def _quantised(tfmot, plain):
    annotated = tfmot.quantization.keras.quantize_annotate_model(plain)
    combine = tfmot.experimental.combine
    scheme = combine.Default8BitPrunePreserveQuantizeScheme()
    try:
        return tfmot.quantization.keras.quantize_apply(annotated, scheme)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            "Expected layers that tfmot can quantise. Received: the model "
            f"'{plain.name}': {error}"
        ) from error


def _check_trainable(model):
    """Raise if zeros are where tfmot's training would not keep them."""
    depthwise = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
    for kernel in legacy.sparse_kernels(model):
        if isinstance(kernel.layer, depthwise):
            raise ValueError(
                "Expected no zeros in depthwise kernels, which tfmot does not keep in "
                f"training. Received: the kernel '{kernel.path}'"
            )


def _check_quantised(model, trained):
    """Raise if tfmot quantises no kernel of a layer, nor keeps its zeros.

    It does neither where the layer's activation is a layer of its own.
    """
    wrappers = {layer.name: layer for layer in trained.layers}
    for kernel in legacy.sparse_kernels(model):
        wrapper = wrappers.get(f"quant_{kernel.layer.name}")
        if wrapper is None:
            continue
        if not wrapper.quantize_config.get_weights_and_quantizers(wrapper.layer):
            raise ValueError(
                "Expected layers whose kernels tfmot quantises. Received: "
                f"'{kernel.layer.name}' with its activation in another layer. Build it "
                "with that `activation=`, or with BatchNormalization between them."
            )


def _check_zeros(model, trained):
    """Raise if a kernel has fewer zeros than it had."""
    weights = {f"/{w.name.split(':')[0]}": w for w in trained.weights}
    for kernel in legacy.sparse_kernels(model):
        zeros = np.array(kernel.variable) == 0
        name = f"/{kernel.layer.name}/{kernel.variable.name}"
        found = [w for key, w in weights.items() if key.endswith(name)]
        if len(found) != 1 or np.any(np.array(found[0])[zeros]):
            raise RuntimeError(
                f"Expected the zeros of the kernel '{kernel.path}' to be kept in "
                "training. Received: a model in which some have grown"
            )


def _converted(trained, sparse):
    """Candidates, dense and sparse, compared with the trained model."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    converter = tf.lite.TFLiteConverter.from_keras_model(trained)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with interrupts.kept():
            data = converter.convert()
    runner = Interpreter(model_content=data).get_signature_runner()
    names = list(runner.get_input_details()), list(runner.get_output_details())
    x = np.random.default_rng(0).normal(size=(SAMPLES, *trained.input_shape[1:]))
    x = x.astype("float32")
    cases = [([x], [np.array(trained(x, training=False), "float64")])]
    return conversion.of_file(data, names, cases, sparse, Precision("int8"))
