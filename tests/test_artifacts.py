"""`to_onnx` and `to_saved_model`: real conversions, run by the real runtimes."""

import gzip
import importlib.util
import os
import re

import keras
import numpy as np
import pytest
import test_export
from keras import layers as L

from tf_admm.export import to_onnx
from tf_admm.export import to_saved_model
from tf_admm.export.tflite.signature import Signature

needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None
    or importlib.util.find_spec("onnxruntime") is None,
    reason="needs tf_admm[onnx]",
)


def gelu():
    return keras.Sequential([L.Input((8,)), L.Dense(16, "gelu"), L.Dense(2)])


def normalized():
    """So many means that TensorFlow does not write them into the graph by itself."""
    rows = np.random.default_rng(0).normal(3, 2, (9, 200)).astype("float32")
    layer = L.Normalization()
    layer.adapt(rows)
    return keras.Sequential([L.Input((200,)), layer, L.Dense(3)])


def recurrent():
    return keras.Sequential(
        [
            L.Input((5, 4)),
            L.GRU(8, return_sequences=True),
            L.Bidirectional(L.LSTM(4)),
            L.Dense(2),
        ]
    )


def mixed():
    return keras.Sequential(
        [L.Input((8,)), L.Dense(16, "relu", dtype="mixed_float16"), L.Dense(2)]
    )


def stateful():
    return keras.Sequential(
        [L.Input(batch_shape=(2, 5, 4)), L.LSTM(3, stateful=True), L.Dense(2)]
    )


MODELS = [*test_export.MODELS, test_export.lenet, gelu, normalized, recurrent, mixed]
#: Models whose file has each kernel once and as it is.
PLAIN = {"mlp", "conv1d", "residual", "nested", "several", "dicts", "subclassed"}
PLAIN |= {"lenet", "gelu", "normalized", "mixed", "embedding", "fixed_batch"}


def zeros(model):
    return sum(int(np.sum(w == 0)) for w in model.get_weights() if w.ndim > 1)


def oracle(model, flat):
    """What the model says, as a flat list."""
    outputs = model(Signature(model).pack(flat), training=False)
    return [np.array(y) for y in keras.tree.flatten(outputs)]


@needs_onnx
@pytest.mark.parametrize("build", MODELS)
def test_an_onnx_file_agrees_with_keras(build, tmp_path):
    import onnxruntime

    model = test_export.prune(build(), 0.8)
    path = tmp_path / "model.onnx"
    report = to_onnx(model, path)
    session = onnxruntime.InferenceSession(path)
    signature = Signature(model)
    flat = test_export.inputs_of(model, signature.batch or 3)
    received = session.run(None, dict(zip(signature.names, flat)))
    loose = 2e-3 if build is mixed else 2e-5
    for y, wanted in zip(received, oracle(model, flat), strict=True):
        np.testing.assert_allclose(y, wanted, atol=loose, rtol=loose)
    assert report.model_zeros <= zeros(model)
    assert report.zeros >= report.model_zeros > 0
    if build.__name__ in PLAIN:
        assert report.zeros == report.model_zeros == zeros(model)
    assert report.path == str(path) and report.format == "onnx"
    assert report.bytes == os.path.getsize(path)
    assert report.gzip_bytes == len(gzip.compress(path.read_bytes(), 9))
    assert report.max_difference <= report.tolerance
    assert f"{report.zeros:,} zeros" in str(report)
    assert os.listdir(tmp_path) == ["model.onnx"]


def without_nested_outputs():
    return [b for b in (*MODELS, stateful) if b is not test_export.dicts]


@pytest.mark.parametrize("build", without_nested_outputs())
def test_a_saved_model_agrees_with_keras(build, tmp_path):
    import tensorflow as tf

    model = test_export.prune(build(), 0.8)
    report = to_saved_model(model, tmp_path / "served")
    signature = Signature(model)
    flat = test_export.inputs_of(model, signature.batch or 3)
    loaded = tf.saved_model.load(tmp_path / "served")
    received = keras.tree.flatten(loaded.serve(signature.pack(flat)))
    loose = 2e-3 if build is mixed else 2e-5
    for y, wanted in zip(received, oracle(model, flat), strict=True):
        np.testing.assert_allclose(y, wanted, atol=loose, rtol=loose)
    assert report.zeros >= report.model_zeros > 0
    files = [f for f in (tmp_path / "served").rglob("*") if f.is_file()]
    assert report.bytes == sum(f.stat().st_size for f in files)
    assert os.listdir(tmp_path) == ["served"]


@needs_onnx
def test_states_are_refused_and_left(tmp_path):
    model = stateful()
    with pytest.raises(ValueError, match=re.escape(str([model.layers[0].name]))):
        to_onnx(model, tmp_path / "x.onnx")
    x = np.ones((2, 5, 4), "float32")
    model(x)
    before = [np.array(state) for state in model.layers[0].states]
    to_saved_model(model, tmp_path / "served")
    for state, value in zip(model.layers[0].states, before):
        np.testing.assert_array_equal(state, value)
    assert any(np.any(value) for value in before)


class Random(L.Layer):
    """Says something else each time."""

    def call(self, x):
        return x + keras.random.uniform((3,))


@needs_onnx
@pytest.mark.parametrize("write", [to_onnx, to_saved_model])
def test_what_disagrees_is_not_left(write, tmp_path):
    model = keras.Sequential([L.Input((3,)), L.Dense(3), Random()])
    with pytest.raises(RuntimeError, match="Nothing was written"):
        write(model, tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_nested_outputs_are_refused_by_keras(tmp_path):
    with pytest.raises(RuntimeError, match="(?s)non-Tensor value.*Nothing was written"):
        to_saved_model(test_export.dicts(), tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_a_saved_model_is_replaced_and_nothing_else(tmp_path):
    import tensorflow as tf

    path = tmp_path / "served"
    path.mkdir()
    for _ in range(2):
        model = test_export.mlp()
        to_saved_model(model, path)
    x = np.ones((1, 32), "float32")
    loaded = tf.saved_model.load(path)
    np.testing.assert_allclose(loaded.serve(x), model(x), atol=1e-5)
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years")
    for taken in (other, other / "thesis.txt"):
        with pytest.raises(ValueError, match="new, empty or a SavedModel"):
            to_saved_model(model, taken)
    assert (other / "thesis.txt").read_text() == "years"


@needs_onnx
@pytest.mark.parametrize("write", [to_onnx, to_saved_model])
def test_arguments_are_checked(write, tmp_path):
    with pytest.raises(TypeError, match="keras.Model"):
        write("model", tmp_path / "x")
    with pytest.raises(ValueError, match="a built model"):
        write(keras.Sequential([L.Dense(2)]), tmp_path / "x")
    with pytest.raises(ValueError, match="whose folder"):
        write(test_export.mlp(), tmp_path / "nowhere" / "x")
    with pytest.raises(ValueError, match="`samples` to be arrays of the shapes"):
        write(test_export.mlp(), tmp_path / "x", samples=np.zeros((2, 5)))
    assert os.listdir(tmp_path) == []


def test_no_tf32_in_what_files_are_compared_with():
    from tensorflow.config import experimental as config

    from tf_admm.export.exactness import exact

    assert config.tensor_float_32_execution_enabled()
    with exact():
        assert not config.tensor_float_32_execution_enabled()
    assert config.tensor_float_32_execution_enabled()
