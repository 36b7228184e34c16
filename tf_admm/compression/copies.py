"""Models as files."""

import os

import keras

from tf_admm.structure import copying


def save(model, path):
    """A plain Keras model, not compiled, whole or not at all."""
    # Keras asks for the ending.
    temporary = f"{path}.tmp.keras"
    try:
        copying.copied(model).save(temporary)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def load(path, like):
    """The model in a file, made of the layers of another one."""
    return keras.saving.load_model(path, custom_objects=copying.classes(like))
