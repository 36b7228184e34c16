"""Models that are made of others have memory of their own, on any backend.

KERAS_BACKEND=jax pytest tests/test_copies.py

A compiled step of JAX gives its buffers away: a model that shared one was lost with it.
"""

import keras
import numpy as np
import pytest
from battery import BACKEND
from keras import layers

import tf_admm
from tf_admm.structure import copying

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8)).astype("float32")
Y = RNG.normal(size=(64, 3)).astype("float32")


def residual():
    """Of its layers only `a` and `c` lose channels."""
    inputs = keras.Input((8,))
    x = layers.Dense(16, "relu", name="a")(inputs)
    x = layers.Add()([inputs, layers.Dense(8, name="c")(x)])
    x = layers.Dropout(0.1)(layers.BatchNormalization()(layers.LayerNormalization()(x)))
    return keras.Model(inputs, layers.Dense(3, name="b")(x))


def learned():
    """With statistics that are variables and no weights."""
    normal = layers.Normalization()
    normal.adapt(X)
    return keras.Sequential([keras.Input((8,)), normal, layers.Dense(3)])


def states():
    inputs = keras.Input(batch_shape=(16, 8))
    x = layers.GRU(4, stateful=True)(layers.Reshape((4, 2))(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


def shrunk(model):
    tf_admm.ADMMModel(model, {".*": tf_admm.constraints.GroupSparsity(0.5)}).finalize()
    small, _ = tf_admm.shrink(model, verbose=0)
    assert small.count_params() < model.count_params()
    return small


@pytest.mark.parametrize(
    "build, make",
    [(residual, shrunk), *((b, copying.copied) for b in (residual, learned, states))],
    ids=["shrunk", "residual", "learned", "states"],
)
def test_either_trains_and_leaves_the_other(build, make):
    one = build()
    other = make(one)
    if build is states and BACKEND == "torch":
        pytest.skip("Keras writes over what PyTorch's gradients need")
    for model in (one, other):
        model.compile(keras.optimizers.SGD(0.1), "mse")
    for trained, left in ((one, other), (other, one), (one, other)):
        expected = left.get_weights()
        trained.fit(X, Y, batch_size=16, verbose=0)
        trained.predict(X, batch_size=16, verbose=0)
        for value, before in zip(left.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(value, before)
        left.evaluate(X, Y, batch_size=16, verbose=0)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "tensorflow", reason="as tests/test_compression.py")
def test_compress_leaves_the_model_as_it_was(tmp_path):
    model = residual()
    model.compile(keras.optimizers.Adam(), "mse")
    model.fit(X, Y, verbose=0)
    expected = model.evaluate(X, Y, verbose=0)
    tf_admm.compress(
        model,
        (X, Y),
        validation_data=(X, Y),
        ratio=2,
        structure="weights",
        epochs=2,
        output=tmp_path / "out",
        verbose=0,
    )
    assert model.evaluate(X, Y, verbose=0) == expected
    model.fit(X, Y, verbose=0)
