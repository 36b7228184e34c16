"""A layer with weights under names of its own, beside one with a kernel."""

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="tests")
class Mixed(layers.Layer):
    """`x @ w`, with a matrix that isn't trained, a vector and a bias of two axes."""

    def __init__(self, width=6, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build(self, shape):
        add = self.add_weight
        self.w = add(shape=(shape[-1], self.width), name="w")
        self.fixed = add(shape=(2, 2), name="fixed", trainable=False)
        self.counts = add(shape=(2, 2), name="counts", dtype="int32", trainable=False)
        self.vector = add(shape=(self.width,), name="vector")
        self.bias = add(shape=(1, self.width), name="bias", initializer="zeros")

    def call(self, x):
        return keras.ops.matmul(x, self.w) * self.vector + self.bias

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def custom():
    """A custom weight before the kernels."""
    inputs = keras.Input((4,))
    x = Mixed(name="mixed")(inputs)
    x = layers.Dense(8, "relu", name="fc1")(x)
    return keras.Model(inputs, layers.Dense(2, name="fc2")(x))
