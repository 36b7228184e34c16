"""Small models of every kind, with data to train them on.

Each has a layer `head`, which the tests leave unconstrained.
"""

from typing import Any
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

SAMPLES = 96
CLASSES = 3
#: Every kernel but those of `head`. A pattern, since automatic names change.
ALL_BUT_HEAD = "(?!head).*"


class Task(NamedTuple):
    """A model, what to train it on, and how to compile it."""

    model: keras.Model
    x: Any
    y: Any
    loss: Any = "sparse_categorical_crossentropy"
    metrics: Any = ("accuracy",)

    def compile_args(self):
        metrics = self.metrics
        if isinstance(metrics, tuple):
            metrics = list(metrics)
        return {"loss": self.loss, "metrics": metrics}


@keras.saving.register_keras_serializable(package="tf_admm_tests")
class Subclassed(keras.Model):
    """Two Dense layers with automatic names, and a head."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.hidden = [layers.Dense(width, "relu"), layers.Dense(width, "tanh")]
        self.dropout = layers.Dropout(0.2)
        self.head = layers.Dense(CLASSES, "softmax", name="head", dtype="float32")

    def call(self, x, training=None):
        for layer in self.hidden:
            x = self.dropout(layer(x), training=training)
        return self.head(x)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def _normal(*shape):
    return np.random.default_rng(1).normal(size=(SAMPLES, *shape)).astype("float32")


def _labels(x):
    """Classes that a model can learn from `x`."""
    means = x.reshape(SAMPLES, -1)[:, :4].sum(axis=1)
    return np.digitize(means, [-0.8, 0.8]).astype("int32")


def _head(x):
    return layers.Dense(CLASSES, "softmax", name="head", dtype="float32")(x)


def _classifier(inputs, outputs, x, **kwargs):
    return Task(keras.Model(inputs, _head(outputs)), x, _labels(x), **kwargs)


def mlp(**kwargs):
    """Functional, with Dropout."""
    inputs = keras.Input((8,))
    x = layers.Dense(16, "relu", **kwargs)(inputs)
    x = layers.Dropout(0.3)(x)
    x = layers.Dense(16, "relu", **kwargs)(x)
    return _classifier(inputs, x, _normal(8))


def regularized():
    """With the user's own regularizer."""
    return mlp(kernel_regularizer=keras.regularizers.L2(1e-2))


def sequential():
    stack = [
        keras.Input((8,)),
        layers.Dense(16, "relu"),
        layers.Dropout(0.3),
        layers.Dense(16, "relu"),
        layers.Dense(CLASSES, "softmax", name="head", dtype="float32"),
    ]
    x = _normal(8)
    return Task(keras.Sequential(stack), x, _labels(x))


def subclassed():
    x = _normal(8)
    model = Subclassed(16)
    model(x[:1])
    return Task(model, x, _labels(x))


def nested():
    """Functional in functional in functional."""
    inputs = keras.Input((8,))
    innermost = keras.Model(inputs, layers.Dense(12, "relu")(inputs))
    middle_in = keras.Input((8,))
    x = innermost(middle_in)
    middle = keras.Model(middle_in, layers.Dense(12, "relu")(x))
    outer_in = keras.Input((8,))
    x = layers.Dropout(0.2)(middle(outer_in))
    return _classifier(outer_in, x, _normal(8))


def residual():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    shortcut = layers.ReLU()(x)
    x = layers.Conv2D(4, 3, padding="same")(shortcut)
    x = layers.BatchNormalization()(x)
    x = layers.Add()([x, shortcut])
    return _classifier(inputs, layers.Flatten()(x), _normal(6, 6, 2))


def shared():
    """One Dense used twice."""
    inputs = keras.Input((8,))
    dense = layers.Dense(8, "tanh")
    return _classifier(inputs, dense(dense(inputs)), _normal(8))


def several():
    """Two inputs, a dict of two outputs, a dict of losses."""
    inputs = {"a": keras.Input((5,), name="a"), "b": keras.Input((3,), name="b")}
    x = layers.Concatenate()([inputs["a"], inputs["b"]])
    x = layers.Dense(16, "relu")(x)
    size = layers.Dense(1, name="size", dtype="float32")(layers.Dense(8)(x))
    model = keras.Model(inputs, {"kind": _head(x), "size": size})
    a, b = _normal(5), _normal(3)
    return Task(
        model,
        {"a": a, "b": b},
        {"kind": _labels(a), "size": b[:, :1]},
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        {"kind": ["accuracy"], "size": ["mae"]},
    )


def attention():
    inputs = keras.Input((5, 6))
    x = layers.MultiHeadAttention(num_heads=2, key_dim=3)(inputs, inputs)
    x = layers.LayerNormalization()(layers.Add()([x, inputs]))
    x = layers.GlobalAveragePooling1D()(x)
    return _classifier(inputs, x, _normal(5, 6))


def lstm():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 5)(inputs)
    x = layers.LSTM(6)(x)
    tokens = np.random.default_rng(1).integers(0, 10, (SAMPLES, 6)).astype("int32")
    y = (tokens[:, -1] % CLASSES).astype("int32")
    return Task(keras.Model(inputs, _head(x)), tokens, y)


def text():
    """Conv1D and GRU over an embedding."""
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 5)(inputs)
    x = layers.Conv1D(6, 3, padding="same", activation="relu")(x)
    x = layers.GRU(6)(x)
    tokens = np.random.default_rng(1).integers(0, 10, (SAMPLES, 6)).astype("int32")
    y = (tokens[:, -1] % CLASSES).astype("int32")
    return Task(keras.Model(inputs, _head(x)), tokens, y)


def depthwise():
    inputs = keras.Input((6, 6, 3))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(inputs)
    x = layers.SeparableConv2D(5, 3, activation="relu")(x)
    return _classifier(inputs, layers.Flatten()(x), _normal(6, 6, 3))


MODELS = {
    "residual": residual,
    "nested": nested,
    "subclassed": subclassed,
    "shared": shared,
    "several": several,
    "attention": attention,
    "lstm": lstm,
    "depthwise": depthwise,
    "sequential": sequential,
}
#: How many kernels `ALL_BUT_HEAD` covers in each.
KERNELS = {
    "residual": 2,
    "nested": 2,
    "subclassed": 2,
    "shared": 1,
    "several": 3,
    "attention": 4,
    "lstm": 2,
    "text": 3,
    "depthwise": 3,
    "sequential": 2,
}
