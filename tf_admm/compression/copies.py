"""Models as files."""

import keras

from tf_admm import files
from tf_admm.structure import copying


def save(model, path, compiled=None):
    """A plain Keras model, whole or not at all.

    Args:
        model: a functional or sequential model.
        path: of the `.keras` file.
        compiled: what `get_compile_config` says of a model that this one is compiled
            as; left out where Keras alone could not make it again, so that the file
            can be loaded as it is.
    """
    copy = copying.copied(model)
    if compiled and is_known(compiled):
        copy.compile_from_config(compiled)
    with files.replacing(path, ".keras") as temporary:
        copy.save(temporary)


def is_known(compiled):
    """Whether it holds no function or class of one's own."""
    try:
        keras.saving.deserialize_keras_object(compiled)
    except (TypeError, ValueError):
        return False
    return True


def load(path, like):
    """The model in a file, made of the layers of another one."""
    own = copying.classes(like)
    return keras.saving.load_model(path, custom_objects=own, compile=False)
