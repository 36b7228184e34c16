"""Models once more, in memory and as files."""

import os

import keras


def copied(model):
    """The same functional or sequential model once more, not compiled.

    Raises:
        ValueError: if a layer can't be made again from its config.
    """
    try:
        copy = keras.models.clone_model(model)
    except Exception as error:
        raise ValueError(
            "Expected a model whose layers can be made again from their configs, since "
            f"it is left as it is. Received: the model '{model.name}', with which this "
            f"fails: {error}"
        ) from error
    for old, new in zip(model.variables, copy.variables, strict=True):
        new.assign(old)
    return copy


def save(model, path):
    """A plain Keras model, not compiled, whole or not at all."""
    # Keras asks for the ending.
    temporary = f"{path}.tmp.keras"
    try:
        copied(model).save(temporary)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
