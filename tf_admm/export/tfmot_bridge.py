"""Pruned Keras 3 models for TensorFlow's Model Optimization Toolkit, and back.

tfmot knows tf_keras only. It is imported when it is needed, and what its import
changes is put back: the environment variable that makes Keras 2 of `tf.keras`, here
and in processes started from here.
"""

import contextlib
import io
import os
import warnings

import keras
import numpy as np

from tf_admm import kernels
from tf_admm.export import conversion
from tf_admm.export import tf_keras_model
from tf_admm.export import tflite
from tf_admm.export.precision import Precision
from tf_admm.tracing import trace

LEGACY = "TF_USE_LEGACY_KERAS"
#: A step that no training comes to, at which tfmot would make masks of its own.
NEVER = 10**9
#: Random samples that a file is compared on.
SAMPLES = 8


def to_tf_keras(model):
    """Make the model again in tf_keras (Keras 2), with the same weights.

    Args:
        model: a built functional or sequential Keras 3 model. Models in it are laid
            out flat.

    Returns:
        A `tf_keras.Model`, not compiled.

    Raises:
        ValueError: if a layer can't be made there; the message names it.
    """
    with _legacy():
        return tf_keras_model.rebuild(model)[0]


def to_tfmot(model):
    """Make the model again in tf_keras, its zeros frozen in tfmot's wrappers.

    Each layer whose kernel has zeros is wrapped by `prune_low_magnitude` with the
    mask of these zeros, which tfmot's own schedule never replaces. It is ready for
    tfmot's `fit` with `UpdatePruningStep`, for `strip_pruning`, and for clustering.

    Args:
        model: a built functional or sequential Keras 3 model.

    Returns:
        A `tf_keras.Model`, not compiled.

    Raises:
        ValueError: if a layer can't be made in tf_keras, or wrapped; or if there
            are no zeros.
    """
    with _legacy() as tfmot:
        sparse = {id(kernel.layer) for kernel in _sparse_kernels(model)}
        schedule = tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=NEVER)

        def wrap(layer, original):
            if id(original) not in sparse:
                return layer
            return _wrapped(tfmot, layer, schedule)

        result, made = tf_keras_model.rebuild(model, wrap)
        for kernel in _sparse_kernels(model):
            _freeze(kernel, made.get(id(kernel.layer)))
        return result


def strip(wrapped, model):
    """Take the weights of a tfmot or tf_keras model back to Keras 3.

    Args:
        wrapped: a model that `to_tfmot` or `to_tf_keras` made, trained or not.
        model: the Keras 3 model that it was made from.

    Returns:
        A new Keras 3 model like `model`, with the weights of `wrapped` and every
        zero of `model` still zero.

    Raises:
        ValueError: if the layers are not the same, or a zero was lost.
    """
    with _legacy() as tfmot:
        stripped = tfmot.sparsity.keras.strip_pruning(wrapped)
        weights = {layer.name: layer.get_weights() for layer in stripped.layers}
    result = keras.models.clone_model(model)
    result.set_weights(model.get_weights())
    layers = {id(call.layer): call.layer for call in trace(result).calls}.values()
    for layer in layers:
        if not isinstance(layer, keras.Layer) or not layer.weights:
            continue
        if layer.name not in weights:
            raise ValueError(
                "Expected the layers of the Keras 3 model. Received: a model without "
                f"the layer '{layer.name}'"
            )
        layer.set_weights(weights[layer.name])
    for before, after in zip(kernels.find(model), kernels.find(result), strict=True):
        zeros = np.array(before.variable) == 0
        if np.any(np.array(after.variable)[zeros]):
            raise ValueError(
                f"Expected the zeros of the kernel '{before.path}' to be kept. "
                "Received: a model in which some have grown"
            )
    return result


def to_int8_by_training(model, path, train, sparse=True):
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
    path = tflite.checked_path(path)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Expected a model of one input and one output. Received: the model "
            f"'{model.name}' of {len(model.inputs)} and {len(model.outputs)}"
        )
    with _legacy() as tfmot:
        _check_trainable(model)
        plain, _ = tf_keras_model.rebuild(model)
        trained = _quantised(tfmot, plain)
        train(trained)
        _check_zeros(model, trained)
        dense, small = _converted(trained, sparse)
    return tflite.write(path, "int8", dense, small, None), trained


def _quantised(tfmot, plain):
    annotated = tfmot.quantization.keras.quantize_annotate_model(plain)
    combine = tfmot.experimental.combine
    scheme = combine.Default8BitPrunePreserveQuantizeScheme()
    try:
        return tfmot.quantization.keras.quantize_apply(annotated, scheme)
    except RuntimeError as error:
        raise ValueError(
            "Expected layers that tfmot can quantise. Received: the model "
            f"'{plain.name}': {error}"
        ) from error


def _check_trainable(model):
    """Raise if zeros are where tfmot's training would not keep them."""
    depthwise = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
    for kernel in _sparse_kernels(model):
        if isinstance(kernel.layer, depthwise):
            raise ValueError(
                "Expected no zeros in depthwise kernels, which tfmot does not keep in "
                f"training. Received: the kernel '{kernel.path}'"
            )


def _check_zeros(model, trained):
    """Raise if a kernel has fewer zeros than it had."""
    weights = {f"/{w.name.split(':')[0]}": w for w in trained.weights}
    for kernel in _sparse_kernels(model):
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
        data = converter.convert()
    runner = Interpreter(model_content=data).get_signature_runner()
    names = list(runner.get_input_details()), list(runner.get_output_details())
    x = np.random.default_rng(0).normal(size=(SAMPLES, *trained.input_shape[1:]))
    x = x.astype("float32")
    cases = [([x], [np.array(trained(x, training=False), "float64")])]
    return conversion.of_file(data, names, cases, sparse, Precision("int8"))


def _freeze(kernel, wrapper):
    """Set the mask that the wrapper has for a kernel."""
    value = np.array(kernel.variable)
    masks = [
        mask
        for weight, mask, _ in getattr(wrapper, "pruning_vars", ())
        if np.array_equal(np.array(weight), value)
    ]
    if not masks:
        raise ValueError(
            "Expected zeros in kernels that tfmot prunes only. Received: the kernel "
            f"'{kernel.path}' of a {type(kernel.layer).__name__} layer"
        )
    for mask in masks:
        mask.assign(value != 0)


def _sparse_kernels(model):
    """The kernels that have zeros."""
    found = [k for k in kernels.find(model) if not np.all(np.array(k.variable))]
    if not found:
        raise ValueError(
            "Expected a model with zeros in its kernels, such as the `.model` of a "
            f"finished `ADMMModel`. Received: the model '{model.name}' without any"
        )
    return found


def _wrapped(tfmot, layer, schedule):
    try:
        return tfmot.sparsity.keras.prune_low_magnitude(layer, schedule)
    except ValueError as error:
        raise ValueError(
            "Expected layers with zeros that tfmot can wrap. Received: the layer "
            f"'{layer.name}' of type {type(layer).__name__}: {error}"
        ) from error


@contextlib.contextmanager
def _legacy():
    """tfmot, with the environment as it was before it."""
    import tensorflow as tf

    # Whoever touches it first decides what `tf.keras` is.
    tf.keras.__version__  # noqa: B018
    before = os.environ.get(LEGACY)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import tensorflow_model_optimization as tfmot
        yield tfmot
    finally:
        os.environ.pop(LEGACY, None)
        if before is not None:
            os.environ[LEGACY] = before
