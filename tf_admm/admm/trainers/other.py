"""What stands in where Keras' backend trains nothing, such as OpenVINO."""

import keras
from keras import ops

from tf_admm.admm.trainers.steps import Steps

either = ops.cond


def after(first, x):
    return x


class Trainer(Steps):
    """No training; an `ADMMModel` is refused as it is made."""

    @staticmethod
    def check_backend():
        raise RuntimeError(
            "Expected one of the backends that Keras trains on, 'tensorflow', 'jax' or "
            f"'torch' (KERAS_BACKEND). Received: '{keras.config.backend()}'"
        )


class Compiled:
    """A function that is called as it is."""

    def __init__(self, function, variables, like=None):
        self._function = function

    def __call__(self, *arguments):
        return self._function(*arguments)


Once = Compiled
