"""What only looks at a model leaves its weights and statistics as they were.

Preprocessing layers run as in training unless they are told otherwise, and Keras then
runs all behind them so: batch normalisation moves its statistics.
"""

import keras
import numpy as np
import pytest
from keras import layers
from sweeps import few

import tf_admm

X = np.random.default_rng(0).uniform(1, 2, (16, 8, 8, 3)).astype("float32")
Y = np.arange(16) % 2
HALF = tf_admm.constraints.GroupSparsity(0.5)


def body(x):
    x = layers.Conv2D(8, 3, name="conv")(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def nested(x):
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, body(inputs), name="body")(x)


BEFORE = {
    "flip": lambda: layers.RandomFlip(),
    "resizing": lambda: layers.Resizing(8, 8),
    "translation": lambda: layers.RandomTranslation(0.1, 0.1),
}


def model_with(first, body):
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(body(BEFORE[first]()(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.5)(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


LOOKS = {
    "allocate": lambda model, folder: tf_admm.allocate(
        model, macs=5_000, structure="channels", method="uniform", verbose=0
    ),
    "by_sensitivity": lambda model, folder: tf_admm.allocate(
        model, ratio=2, method="sensitivity", data=(X, Y), verbose=0
    ),
    "channel_groups": lambda model, folder: tf_admm.channel_groups(model, verbose=0),
    "float32": lambda model, folder: tf_admm.export.to_tflite(
        model, folder / "a.tflite", samples=X
    ),
    "int8": lambda model, folder: tf_admm.export.to_tflite(
        model, folder / "a.tflite", dtype="int8", representative=X
    ),
    "plan": lambda model, folder: tf_admm.plan(model, {".*": HALF}, verbose=0),
    "report": lambda model, folder: tf_admm.report(model, (X, Y), X, verbose=0),
    "shrink": lambda model, folder: tf_admm.shrink(model, verbose=0),
    "summary": lambda model, folder: tf_admm.summary(model, verbose=0),
    "wrapped": lambda model, folder: tf_admm.ADMMModel(model, HALF),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("body", [body, nested])
@pytest.mark.parametrize("first", few(list(BEFORE), "resizing"))
@pytest.mark.parametrize("name", list(LOOKS))
def test_weights_are_as_they_were(name, first, body, tmp_path):
    model = model_with(first, body)
    before = [np.array(w) for w in model.weights]
    LOOKS[name](model, tmp_path)
    for w, value in zip(model.weights, before):
        if "seed_generator" not in w.path:
            np.testing.assert_array_equal(np.array(w), value, w.path)


def test_keras_itself_moves_them():
    """Why this is tested at all; if it ever fails, Keras has changed for the better."""
    model = model_with("resizing", body)
    before = [np.array(w) for w in model.weights]
    model(X)
    assert not all(map(np.array_equal, before, map(np.array, model.weights)))
