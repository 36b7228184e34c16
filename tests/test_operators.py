"""What TFLite can't do is named, and layers that keep states are compared afresh."""

import os
import re

import keras
import numpy as np
import pytest
import test_export
from keras import ops
from sweeps import few

from tf_admm.export import to_tflite

L = keras.layers


def functional(shape, make, dtype="float32"):
    x = L.Input(shape, dtype=dtype)
    return keras.Model(x, make(x))


def square(x):
    return ops.matmul(x, ops.transpose(x, (0, 2, 1))) + ops.eye(4)


def pooled(kind, name):
    return keras.Sequential([L.Input((4, 4, 4, 2)), kind(2, name=name), L.Flatten()])


def nested():
    inner = keras.Sequential([L.Input((4, 4, 4, 2)), L.MaxPooling3D(2, name="deep")])
    return functional((4, 4, 4, 2), lambda x: L.Flatten()(inner(x)))


OPERATORS = {
    "pooling": (
        lambda: pooled(L.MaxPooling3D, "most"),
        r"MaxPool3D \(layer 'most'\); try `select_tf_ops=True`",
    ),
    "mean": (
        lambda: pooled(L.AveragePooling3D, "mean"),
        r"AvgPool3D \(layer 'mean'\); try",
    ),
    "nested": (nested, r"MaxPool3D \(layer 'deep'\); try"),
    "operation": (
        lambda: functional((4, 4), lambda x: ops.cholesky(square(x))),
        "Cholesky; try",
    ),
    "lambda": (
        lambda: functional(
            (4, 4), L.Lambda(lambda x: ops.cholesky(square(x)), name="root")
        ),
        r"Cholesky \(layer 'root'\); try",
    ),
    "two": (
        lambda: functional((8,), lambda x: ops.fft((x, 0.0 * x))[0]),
        "Complex, FFT; try",
    ),
    "lookup": (
        lambda: functional(
            (3,), L.IntegerLookup(vocabulary=[3, 5, 7], name="ids"), "int32"
        ),
        r"HashTableV2, LookupTableFindV2 \(layer 'ids'\), LookupTableImportV2; try",
    ),
    # TensorFlow's delegate has no such operator either.
    "custom": (
        lambda: functional((4,), lambda x: ops.erfinv(ops.tanh(x))),
        "Erfinv. Nothing",
    ),
}


@pytest.mark.parametrize("name", few(OPERATORS, "nested", "custom"))
def test_what_tflite_lacks_is_named(name, tmp_path):
    build, message = OPERATORS[name]
    with pytest.raises(RuntimeError, match=f"lacks TensorFlow's operators {message}"):
        to_tflite(build(), tmp_path / "a.tflite")
    assert os.listdir(tmp_path) == []


def test_a_complaint_of_the_converter_names_the_layer(tmp_path):
    inputs = keras.Input((3, 3, 3, 2))
    x = L.PReLU(shared_axes=[1, 2, 3], name="bent")(L.Conv3D(2, 2)(inputs))
    model = keras.Model(inputs, L.Dense(2)(L.Flatten()(x)))
    with pytest.raises(RuntimeError) as caught:
        to_tflite(model, tmp_path / "a.tflite")
    assert re.search(r"'tfl.prelu' op failed .*\(layer 'bent'\)\.", str(caught.value))
    assert "loc(" not in str(caught.value) and len(str(caught.value)) < 400


def test_open_sizes_are_named_where_a_model_does_not_convert(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = L.UpSampling2D()(L.Conv2D(4, 3, padding="same")(inputs))
    model = keras.Model(inputs, L.Conv2D(2, 3)(x))
    with pytest.raises(RuntimeError, match="one with fixed sizes may convert"):
        to_tflite(model, tmp_path / "a.tflite", samples=np.zeros((2, 8, 8, 3), "f"))


def test_a_name_that_two_layers_may_have():
    from tf_admm.export.tflite import complaints

    assert complaints._layers(["net", "pool_1"], {"pool", "pool_1"}) == {
        "pool",
        "pool_1",
    }
    assert complaints._layers(["net_1", "pool_1"], {"pool", "net"}) == {"pool"}
    assert complaints._layers(["elsewhere"], {"pool"}) == set()


def has_delegate():
    """Whether TensorFlow's interpreter runs its own operators: up to 2.19."""
    import tensorflow as tf

    return tuple(map(int, tf.__version__.split(".")[:2])) < (2, 20)


@pytest.mark.parametrize("name", few(["pooling", "operation", "lookup", "two"], "two"))
def test_files_with_tensorflows_operators_are_run_or_refused(name, tmp_path):
    path = tmp_path / "a.tflite"
    build, _ = OPERATORS[name]
    if has_delegate():
        assert to_tflite(build(), path, sparse=False, select_tf_ops=True).bytes
        return
    with pytest.raises(RuntimeError, match="needs TensorFlow's operators Flex.*Flex d"):
        to_tflite(build(), path, select_tf_ops=True)
    assert os.listdir(tmp_path) == []


def test_tensorflows_operators_are_allowed_and_not_needed(tmp_path):
    model = test_export.mlp()
    path = tmp_path / "a.tflite"
    report = to_tflite(model, path, sparse=False, select_tf_ops=True)
    test_export.assert_agrees(model, path, report)


# Layers that keep states.


def after(layer):
    return keras.Sequential([L.Input(batch_shape=(2, 5, 4)), layer, L.Dense(3)])


def stacked():
    return keras.Sequential(
        [
            L.Input(batch_shape=(2, 5, 4)),
            L.LSTM(6, stateful=True, return_sequences=True),
            L.GRU(5, stateful=True),
        ]
    )


class Counting(L.Layer):
    """Adds how often it was called."""

    def build(self, shape):
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.count.assign_add(1.0)
        return x + self.count


STATEFUL = {
    "lstm": lambda: after(L.LSTM(6, stateful=True)),
    "gru": lambda: after(L.GRU(6, stateful=True)),
    "simple": lambda: after(L.SimpleRNN(6, stateful=True)),
    "unrolled": lambda: after(L.GRU(6, stateful=True, unroll=True)),
    "bidirectional": lambda: after(L.Bidirectional(L.GRU(6, stateful=True))),
    "cell": lambda: after(L.RNN(L.LSTMCell(6), stateful=True)),
    "cells": lambda: after(L.RNN([L.LSTMCell(4), L.GRUCell(3)], stateful=True)),
    "stacked": stacked,
    "nested": lambda: functional_of(stacked()),
    "own": lambda: after(keras.Sequential([L.Flatten(), Counting()])),
}


def functional_of(model):
    x = L.Input(batch_shape=(2, 5, 4))
    return keras.Model(x, model(x))


@pytest.mark.parametrize("name", few(STATEFUL, "bidirectional", "own"))
def test_states_run_on_from_zero_in_the_file(name, tmp_path):
    """Three calls of the file are three calls of a new model."""
    from ai_edge_litert.interpreter import Interpreter

    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 2, 5, 4)).astype("float32")
    keras.utils.set_random_seed(0)
    model = STATEFUL[name]()
    to_tflite(model, tmp_path / "a.tflite", sparse=False)
    expected = [np.array(model(row)) for row in x]
    run = Interpreter(str(tmp_path / "a.tflite")).get_signature_runner()
    for row, y in zip(x, expected):
        np.testing.assert_allclose(run(input_0=row)["output_0"], y, atol=1e-5)
    assert np.abs(np.array(model(x[0])) - expected[0]).max() > 1e-3


@pytest.mark.parametrize(
    "name", few(["lstm", "bidirectional", "cells", "own"], "lstm", "own")
)
def test_the_states_of_the_model_are_left_as_they_were(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = STATEFUL[name]()
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    model(x)
    expected = np.array(model(x))
    keras.utils.set_random_seed(0)
    again = STATEFUL[name]()
    again.set_weights(model.get_weights())
    if name == "own":
        again.layers[0].layers[1].count.assign(0.0)
    again(x)
    to_tflite(again, tmp_path / "a.tflite", sparse=False)
    np.testing.assert_allclose(again(x), expected, atol=1e-6)
