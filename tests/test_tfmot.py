"""The bridge to tf_keras and tfmot: the real packages, in this process."""

import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import test_shrinking
from keras import layers
from test_export import run

import models
import tf_admm
from tf_admm import export
from tf_admm.constraints import Sparsity
from tf_admm.structure import kernels

pytestmark = pytest.mark.filterwarnings("ignore")


def agree(model, x):
    """The model in tf_keras, which must compute the same."""
    test_shrinking.randomise(model)
    made = export.to_tf_keras(model)
    expected = keras.tree.flatten(model(x, training=False))
    found = keras.tree.flatten(made(x, training=False))
    for a, b in zip(expected, found, strict=True):
        scale = max(1.0, float(np.abs(a).max()))
        np.testing.assert_allclose(b, a, atol=1e-5 * scale)
    assert made.count_params() == model.count_params()
    return made


@pytest.mark.parametrize("name", [n for n in models.MODELS if n != "subclassed"])
def test_any_model_in_tf_keras(name):
    task = models.MODELS[name]()
    agree(task.model, task.x)


@pytest.mark.parametrize("name", test_shrinking.GRAPHS)
def test_any_graph_in_tf_keras(name):
    model = test_shrinking.GRAPHS[name]()
    x = test_shrinking.inputs_of(model)
    names = [t.name for t in model.inputs]
    agree(model, dict(zip(names, x)) if isinstance(x, list) else x)


@pytest.mark.parametrize(
    "stack, shape",
    [
        (
            [layers.Conv2D(4, 3, activation="hard_silu"), layers.LeakyReLU(0.1)],
            (8, 8, 3),
        ),
        ([layers.Dense(4, activation="hard_sigmoid"), layers.PReLU()], (6,)),
        ([layers.Dense(4, activation="gelu"), layers.LayerNormalization()], (6,)),
        ([layers.Rescaling(2.0, 1.0), layers.Conv2DTranspose(4, 3)], (6, 6, 2)),
        ([layers.Bidirectional(layers.GRU(4, return_sequences=True))], (5, 3)),
        ([layers.TimeDistributed(layers.Dense(4)), layers.SimpleRNN(3)], (5, 3)),
        ([layers.CenterCrop(4, 4), layers.Conv2D(3, 2)], (8, 8, 2)),
        ([layers.Dense(4, kernel_regularizer="l2", dtype="float32")], (6,)),
    ],
)
def test_layers_in_tf_keras(stack, shape):
    model = keras.Sequential([keras.Input(shape), *stack])
    agree(model, test_shrinking.inputs_of(model))


def test_operations_between_layers():
    x = inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same")(x)
    x = keras.ops.relu6(x + 3.0) * (1.0 / 6.0) * x - x / 2.0
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    agree(model, test_shrinking.inputs_of(model))


@pytest.mark.parametrize(
    "name",
    [
        "MobileNetV2",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("MobileNet", "MobileNetV3Small", "ResNet50", "EfficientNetB0")
        ),
    ],
)
def test_applications(name):
    shape = (64, 64, 3)
    build = getattr(keras.applications, name)
    model = build(input_shape=shape, weights=None, classes=5)
    agree(model, test_shrinking.inputs_of(model, rows=2))


def sparse_lenet():
    keras.utils.set_random_seed(0)
    model = test_shrinking.lenet(filters=(6, 8))
    admm = tf_admm.ADMMModel(model, {"fc2": None, ".*": Sparsity(0.9)})
    admm.finalize()
    return admm.model


def data():
    """Which quarter of the image is bright."""
    rng = np.random.default_rng(0)
    x, y = rng.random((128, 28, 28, 1)) / 2, rng.integers(0, 4, 128)
    for image, quarter in zip(x, y):
        row, column = 14 * (quarter // 2), 14 * (quarter % 2)
        image[row : row + 14, column : column + 14] += 0.5
    return x.astype("float32"), y.astype("int32")


def train(model, callbacks=()):
    import tf_keras

    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.Adam(0.01), loss)
    model.fit(*data(), epochs=4, verbose=0, callbacks=list(callbacks))


def zeros(model):
    return [np.array(k.variable) == 0 for k in kernels.find(model)]


def test_tfmot_trains_on_our_masks_and_comes_back():
    model = sparse_lenet()
    wrapped = export.to_tfmot(model)
    x, _ = data()
    np.testing.assert_allclose(wrapped(x[:4]), model(x[:4]), atol=1e-5)
    import tensorflow_model_optimization as tfmot

    train(wrapped, [tfmot.sparsity.keras.UpdatePruningStep()])
    back = export.strip(wrapped, model)
    assert isinstance(back, keras.Model)
    for now, then in zip(zeros(back), zeros(model)):
        np.testing.assert_array_equal(now, then)
    stripped = tfmot.sparsity.keras.strip_pruning(wrapped)
    np.testing.assert_allclose(back(x[:4]), stripped(x[:4]), atol=1e-5)
    assert np.abs(back(x[:4]) - model(x[:4])).max() > 1e-3


def test_strip_refuses_what_has_lost_zeros():
    model = sparse_lenet()
    made = export.to_tf_keras(model)
    train(made)
    with pytest.raises(ValueError, match="zeros of the kernel 'conv1/kernel'.*grown"):
        export.strip(made, model)


@pytest.mark.slow
def test_int8_by_training_keeps_every_zero(tmp_path):
    model, path = sparse_lenet(), tmp_path / "model.tflite"
    report, trained = export.to_int8_by_training(model, path, train)
    assert report.dtype == "int8" and report.bytes == path.stat().st_size
    assert report.fallback is None and report.sparse_tensors
    for kernel in kernels.find(model):
        zero = np.array(kernel.variable) == 0
        (found,) = [
            w
            for w in trained.weights
            if w.name.endswith(f"{kernel.layer.name}/kernel:0")
        ]
        assert not np.any(np.array(found)[zero]) and np.any(found)
    x, _ = data()
    expected = np.array(trained(x[:8], training=False))
    (name,) = keras.tree.flatten(trained.input_names)
    for delegate in (True, False):
        (found,) = run(path.read_bytes(), [name], [x[:8]], delegate).values()
        assert np.abs(found - expected).max() <= 0.1 * np.abs(expected).max()


def test_mixed_dtypes_in_tf_keras():
    x = inputs = keras.Input((6,))
    a = layers.Dense(6, dtype="mixed_float16")(x)
    x = layers.Add(dtype="float32")([a, layers.Dense(6)(x)])
    model = keras.Model(inputs, x)
    values = test_shrinking.inputs_of(model)
    np.testing.assert_allclose(
        export.to_tf_keras(model)(values), model(values), atol=5e-3
    )


def test_a_mask_that_is_an_input():
    x, mask = (
        keras.Input((5, 3), name="x"),
        keras.Input((5,), dtype="bool", name="mask"),
    )
    model = keras.Model([x, mask], layers.LSTM(4)(x, mask=mask))
    values = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    ones = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 0]], bool)
    expected = model([values, ones])
    np.testing.assert_allclose(
        export.to_tf_keras(model)([values, ones]), expected, atol=1e-5
    )


@pytest.mark.parametrize(
    "layer, shape, path",
    [
        (layers.DepthwiseConv2D(3, name="dw"), (6, 6, 3), "dw/kernel"),
        (layers.LSTM(4, name="lstm"), (5, 3), "lstm/lstm_cell/kernel"),
    ],
)
def test_zeros_that_tfmot_would_not_keep(layer, shape, path, tmp_path):
    model = keras.Sequential([keras.Input(shape), layer])
    tf_admm.ADMMModel(model, Sparsity(0.5)).finalize()
    with pytest.raises(ValueError, match=f"kernel '{path}'"):
        export.to_tfmot(model)
    if isinstance(layer, layers.DepthwiseConv2D):
        with pytest.raises(ValueError, match=f"depthwise.*kernel '{path}'"):
            export.to_int8_by_training(model, tmp_path / "a.tflite", train)


@pytest.mark.parametrize("made", [layers.ReLU, lambda: layers.Activation("relu")])
@pytest.mark.parametrize("make", [layers.Dense, lambda n: layers.Conv2D(n, 3)])
def test_kernels_that_tfmot_would_not_quantise(make, made, tmp_path):
    layer = make(8)
    model = keras.Sequential([keras.Input((6, 6, 4)), layer, made(), layers.Dense(2)])
    tf_admm.ADMMModel(model, {layer.name: Sparsity(0.5)}).finalize()
    with pytest.raises(ValueError, match=f"'{layer.name}' with its activation in an"):
        export.to_int8_by_training(model, tmp_path / "a.tflite", pytest.fail)


def test_strip_refuses_another_model():
    model = sparse_lenet()
    other = keras.Model(model.inputs, model.get_layer("fc1").output)
    made = export.to_tf_keras(other)
    with pytest.raises(ValueError, match="without the layer 'fc2'"):
        export.strip(made, model)


# Nothing is left behind.

AFTER = """
import os, keras, numpy as np, warnings
warnings.simplefilter("ignore")
from tf_admm import export
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
export.to_tf_keras(model)
import tensorflow as tf
assert os.environ.get("TF_USE_LEGACY_KERAS") == {expected!r}
assert tf.keras.Model is keras.Model
"""


@pytest.mark.parametrize("value", [None, pytest.param("0", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_the_environment_is_as_it_was(value):
    env = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    if value is not None:
        env["TF_USE_LEGACY_KERAS"] = value
    code = AFTER.format(expected=value)
    result = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


# Bad input.


def test_layers_that_tf_keras_lacks():
    class Own(layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=shape[1:])

        def call(self, x):
            return x * self.scale

    model = keras.Sequential([keras.Input((4,)), Own(name="mine")])
    with pytest.raises(ValueError, match="the layer 'mine' of type Own"):
        export.to_tf_keras(model)
    lora = keras.Sequential([keras.Input((4,)), layers.Dense(3, lora_rank=2, name="l")])
    with pytest.raises(ValueError, match="the layer 'l' of type Dense with lora_rank"):
        export.to_tf_keras(lora)


def test_operations_that_tf_keras_lacks():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.flip(inputs, axis=-1))
    with pytest.raises(ValueError, match="Expected operations.*of type Flip"):
        export.to_tf_keras(model)


def test_models_without_zeros(tmp_path):
    model = test_shrinking.lenet()
    for make in (
        export.to_tfmot,
        lambda m: export.to_int8_by_training(m, tmp_path / "a.tflite", train),
    ):
        with pytest.raises(ValueError, match="model with zeros.*without any"):
            make(model)
    assert os.listdir(tmp_path) == []


def attention():
    inputs = keras.Input((6, 8))
    x = layers.MultiHeadAttention(2, 4)(inputs, inputs)
    return keras.Model(inputs, layers.Dense(3)(x))


def embedded():
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Flatten()(layers.Embedding(20, 8)(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize("build", [attention, embedded])
def test_layers_that_tfmot_can_not_quantise(build, tmp_path):
    model = build()
    tf_admm.ADMMModel(model, Sparsity(0.5)).finalize()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="layers that tfmot can quantise"):
            export.to_int8_by_training(model, tmp_path / "a.tflite", train)
    assert os.listdir(tmp_path) == []
