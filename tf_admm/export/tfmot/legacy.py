"""tfmot and what it is imported for.

tfmot knows tf_keras only. It is imported when it is needed, and what its import
changes is put back: the environment variable that makes Keras 2 of `tf.keras`, here
and in processes started from here.
"""

import contextlib
import os
import warnings

import numpy as np

from tf_admm.export import checking
from tf_admm.structure import kernels

LEGACY = "TF_USE_LEGACY_KERAS"


@contextlib.contextmanager
def tfmot():
    """tfmot, with the environment as it was before it.

    Raises:
        ImportError: if it isn't there, or tf_keras isn't.
    """
    checking.check_packages("tf_keras models", ["tensorflow"], "tensorflow")
    import tensorflow as tf

    # Whoever touches it first decides what `tf.keras` is.
    tf.keras.layers  # noqa: B018
    before = os.environ.get(LEGACY)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            tensorflow_model_optimization = _imported()
        yield tensorflow_model_optimization
    finally:
        os.environ.pop(LEGACY, None)
        if before is not None:
            os.environ[LEGACY] = before


def _imported():
    try:
        import tensorflow_model_optimization
        import tf_keras  # noqa: F401, so that its absence shows now
    except ImportError as error:
        raise ImportError(
            "Expected tfmot and tf_keras: `pip install tf_admm[tfmot]`. Received: "
            f"{error}"
        ) from error
    return tensorflow_model_optimization


def sparse_kernels(model):
    """The kernels that have zeros."""
    found = [k for k in kernels.find(model) if not np.all(np.array(k.variable))]
    if not found:
        raise ValueError(
            "Expected a model with zeros in its kernels, such as the `.model` of a "
            f"finished `ADMMModel`. Received: the model '{model.name}' without any"
        )
    return found
