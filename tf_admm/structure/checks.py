"""What the public functions ask of a model."""

import warnings

import keras

from tf_admm.structure import walking


def check_built(model):
    """Raise unless `model` is a built Keras model.

    Raises:
        TypeError: if it is no Keras model.
        ValueError: if it isn't built.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Expected `model` to be a Keras 3 `keras.Model`. Received: "
            f"model={model!r} of type {type(model)}"
        )
    if not model.built:
        raise ValueError(
            "Expected a built model. Received: the unbuilt model "
            f"'{model.name}'. Build it first, by `model.build(input_shape)` or "
            "by calling it on a batch."
        )


def check_kernels(layers):
    """Raise if a layer of Keras computes with something else than its kernel.

    Zeros of the kernel would be none: LoRA adds its product to it, and `quantize` puts
    integers in its place.

    Raises:
        ValueError: with the layers, and what to do.
    """
    adapted = [x.name for x in layers if _is_adapted(x)]
    if adapted:
        raise ValueError(
            "Expected layers that compute with their kernels alone. Received: "
            f"`enable_lora` on {adapted}. Merge it first: `model.save_weights` adds it "
            "to the kernels, and the same model without `enable_lora` loads them."
        )
    _check_floats(layers, "Prune before that")


def check_floats(model):
    """Raise if `quantize` put integers into a layer: no converter takes them."""
    layers = {id(layer): layer for layer, _ in walking.walk(model)}
    _check_floats(
        layers.values(), "Give the model as it was before that, with dtype='int8'"
    )


def _check_floats(layers, mend):
    # The kernels of float8 are of floats.
    modes = [(x.name, getattr(x, "quantization_mode", None)) for x in layers]
    integers = [name for name, mode in modes if mode not in (None, "float8")]
    if integers:
        raise ValueError(
            "Expected layers with kernels of floats. Received: `quantize` was called "
            f"on {integers}. {mend}."
        )


def owners(model, variables):
    """The layers of a model that own some of these variables."""
    wanted = set(map(id, variables))
    found = {
        id(layer): layer
        for layer, _ in walking.walk(model)
        if wanted & set(map(id, walking.own_variables(layer)))
    }
    return list(found.values())


def warn_of_adapters(model, variables, stacklevel):
    """Warn if `enable_lora` adds to kernels whose zeros are to stay."""
    names = [x.name for x in owners(model, variables) if _is_adapted(x)]
    if names:
        warnings.warn(
            f"`enable_lora` on {names}: the zeros stay in the kernels, and what LoRA "
            "adds has none. The layers compute with dense weights, and Keras saves "
            "the sum.",
            stacklevel=stacklevel + 1,
        )


def _is_adapted(layer):
    return getattr(layer, "lora_enabled", False)
