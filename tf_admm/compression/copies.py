"""Models as files."""

import keras

from tf_admm import files
from tf_admm.structure import copying


def save(model, path):
    """A plain Keras model, not compiled, whole or not at all."""
    with files.replacing(path, ".keras") as temporary:
        copying.copied(model).save(temporary)


def load(path, like):
    """The model in a file, made of the layers of another one."""
    return keras.saving.load_model(path, custom_objects=copying.classes(like))
