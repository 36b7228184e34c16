"""Pruned Keras 3 models for TensorFlow's Model Optimization Toolkit, and back."""

from typing import Any

import keras
import numpy as np

from tf_admm.export import elsewhere
from tf_admm.export.tflite import runtime
from tf_admm.export.tflite.precision import TOLERANCES
from tf_admm.export.tflite.signature import Signature
from tf_admm.export.tfmot import legacy
from tf_admm.export.tfmot import rebuilding
from tf_admm.structure import kernels
from tf_admm.structure import walking
from tf_admm.structure.checks import check_built
from tf_admm.structure.tracing import trace

#: A step that no training comes to, at which tfmot would make masks of its own.
NEVER = 10**9


def to_tf_keras(model: keras.Model) -> Any:
    """Make the model again in tf_keras (Keras 2), with the same weights.

    Args:
        model: a built functional or sequential Keras 3 model. Models in it are laid
            out flat.

    Returns:
        A `tf_keras.Model`, not compiled. Where Keras runs on another backend than
        TensorFlow, its outputs have been compared with the model's.

    Raises:
        ValueError: if a layer can't be made there; the message names it.
        ImportError: if there is no TensorFlow, tfmot or tf_keras.
        RuntimeError: if it computes something else.
    """
    check_built(model)
    with legacy.tfmot():
        made = rebuilding.rebuild(model)[0]
    if elsewhere.is_needed():
        _check_outputs(model, made)
    return made


def _check_outputs(model, made):
    """Raise unless both say the same of random inputs."""
    signature = Signature(model)
    given = signature.pack(signature.random())
    mixed = any(x.compute_dtype != x.variable_dtype for x, _ in walking.walk(model))
    tolerance = TOLERANCES["float16" if mixed else "float32"]
    expected = runtime.predict(model, signature, keras.tree.flatten(given))
    received = made(given, training=False)
    for a, b in zip(keras.tree.flatten(received), keras.tree.flatten(expected)):
        found = runtime.compared(np.array(a, "float64"), b, tolerance)
        if not found.agrees:
            raise RuntimeError(
                f"Expected model {model.name!r} to compute the same in tf_keras. "
                f"Received: outputs that differ by {found.difference:.2e} (allowed: "
                f"{found.tolerance:.2e})"
            )


def to_tfmot(model: keras.Model) -> Any:
    """Make the model again in tf_keras, its zeros kept by tfmot's wrappers.

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
    check_built(model)
    with legacy.tfmot() as tfmot:
        sparse = {id(kernel.layer) for kernel in legacy.sparse_kernels(model)}
        schedule = tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=NEVER)

        def wrap(layer, original):
            if id(original) not in sparse:
                return layer
            return _wrapped(tfmot, layer, schedule)

        result, made = rebuilding.rebuild(model, wrap)
        for kernel in legacy.sparse_kernels(model):
            _freeze(kernel, made.get(id(kernel.layer)))
        return result


def strip(wrapped: Any, model: keras.Model) -> keras.Model:
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
    check_built(model)
    with legacy.tfmot() as tfmot:
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


def _wrapped(tfmot, layer, schedule):
    try:
        return tfmot.sparsity.keras.prune_low_magnitude(layer, schedule)
    except ValueError as error:
        raise ValueError(
            "Expected layers with zeros that tfmot can wrap. Received: the layer "
            f"'{layer.name}' of type {type(layer).__name__}: {error}"
        ) from error
