"""Layers that are not the same on every backend, in a module that can be imported."""

import os

import keras

register = keras.saving.register_keras_serializable(package="backend_layers")


@register
class Doubling(keras.layers.Layer):
    """Twice what it is given."""

    def call(self, x):
        return 2.0 * x


@register
class Unequal(keras.layers.Layer):
    """Adds 1e-3 on TensorFlow."""

    def call(self, x):
        return x + 1e-3 if keras.config.backend() == "tensorflow" else x


@register
class Deadly(keras.layers.Layer):
    """Ends the process on TensorFlow."""

    def call(self, x):
        if keras.config.backend() == "tensorflow":
            os._exit(3)
        return x


@register
def halved(x):
    """An activation."""
    return 0.5 * x
