"""What the public functions ask of a model."""

import keras


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
