"""What `test_backends_export.py` runs with Keras on another backend, in a folder.

Each function is a check; the names of those to run are the arguments.
"""

import os
import shutil
import sys
import warnings

import backend_layers
import keras
import numpy as np
from keras import layers

import tf_admm
from tf_admm import export
from tf_admm.export import elsewhere

X = np.random.default_rng(7).normal(size=(6, 8, 8, 1)).astype("float32")


def convnet(pruned=0.8):
    """Two outputs, a batch normalisation, and weights with zeros."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(6, 3, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D()(layers.ReLU()(x))
    x = layers.Dense(24, "gelu", name="fc1")(layers.Flatten()(x))
    outputs = {"kind": layers.Dense(3, name="b")(x), "size": layers.Dense(2)(x)}
    model = keras.Model(inputs, outputs)
    for layer in model.layers:
        layer.set_weights([cut(w, pruned) for w in layer.get_weights()])
    return model


def cut(w, share):
    if w.ndim == 1:
        # Such as no initialiser leaves them.
        return w + np.linspace(0.05, 0.2, w.size, dtype="float32")
    return np.where(np.abs(w) <= np.quantile(np.abs(w), share), 0, w).astype("float32")


def zeros(model):
    """Of all weights of two axes or more."""
    return sum(int(np.sum(w == 0)) for w in model.get_weights() if w.ndim > 1)


def expected(model, x=X):
    """The oracle: what the model says, on the backend that it is on."""
    outputs = model(x, training=False)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)


def tflite_outputs(path, **inputs):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(path).get_signature_runner()(**inputs)


def agree(received, wanted, **options):
    for name, y in wanted.items():
        np.testing.assert_allclose(received[name], y, **options)


def left(*names):
    """Nothing is in the folder but these."""
    assert sorted(os.listdir()) == sorted(names), os.listdir()


CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def check_tflite():
    model = convnet()
    report = export.to_tflite(model, "model.tflite")
    assert report.path == "model.tflite" and report.sparse_tensors
    assert report.bytes == os.path.getsize("model.tflite") < report.dense_bytes
    agree(tflite_outputs("model.tflite", image=X), expected(model), **CLOSE)
    left("model.tflite")


def check_int8():
    model = convnet()
    options = {"dtype": "int8", "representative": X, "sparse": False}
    small = export.to_tflite(model, "int8.tflite", **options)
    assert small.bytes < 4 * model.count_params()
    agree(tflite_outputs("int8.tflite", image=X[:1]), expected(model, X[:1]), atol=0.3)
    left("int8.tflite")


def check_warning():
    """Of the other process, raised here and with the name of the file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        export.to_tflite(convnet(pruned=0.0), "dense.tflite")
    (text,) = [str(w.message) for w in caught if "dense file" in str(w.message)]
    assert text.startswith("dense.tflite: wrote the dense file")
    left("dense.tflite")


def check_onnx():
    import onnxruntime

    model = convnet()
    report = export.to_onnx(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx")
    names = [output.name for output in session.get_outputs()]
    received = dict(zip(names, session.run(None, {"image": X})))
    agree(received, expected(model), **CLOSE)
    assert report.zeros == report.model_zeros == zeros(model)
    left("model.onnx")


def check_saved_model():
    model = convnet()
    report = export.to_saved_model(model, "served")
    assert report.zeros == report.model_zeros == zeros(model)
    # This process has the other backend; TensorFlow has nothing to do with it.
    import tensorflow as tf

    loaded = tf.saved_model.load("served")
    agree(loaded.serve(X), expected(model), **CLOSE)
    left("served")


def check_own_layers():
    """Registered ones of a module come along."""
    inputs = keras.Input((4,))
    x = layers.Dense(4, activation=backend_layers.halved)(inputs)
    model = keras.Model(inputs, backend_layers.Doubling()(x))
    export.to_tflite(model, "own.tflite", sparse=False)
    x = X.reshape(-1, 4)[:5]
    (received,) = tflite_outputs("own.tflite", input_0=x).values()
    np.testing.assert_allclose(received, expected(model, x), **CLOSE)
    left("own.tflite")


def check_other_outputs():
    """Of a layer that computes something else on TensorFlow."""
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3), backend_layers.Unequal()]
    )
    for write in (export.to_tflite, export.to_onnx, export.to_saved_model):
        message = raised(RuntimeError, write, model, "unequal")
        assert "differ by 1.00e-03" in message and "Nothing was written" in message
        left()


def check_what_can_not_be_loaded():
    @keras.saving.register_keras_serializable(package="export_elsewhere")
    class Local(layers.Layer):
        def call(self, x):
            return x

    class Unregistered(layers.Layer):
        def call(self, x):
            return x

    for cls in (Local, Unregistered, InMain):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2), cls()])
        message = raised(ValueError, export.to_tflite, model, "x.tflite")
        assert cls.__name__ in message and "module that it can import" in message
    left()


def check_death():
    model = keras.Sequential([keras.Input((4,)), backend_layers.Deadly()])
    message = raised(RuntimeError, export.to_tflite, model, "x.tflite")
    assert "status 3" in message
    left()


def check_arguments():
    """As on TensorFlow, before any process starts."""
    model = convnet()
    raised(ValueError, export.to_tflite, model, "x.tflite", dtype="int8")
    raised(ValueError, export.to_tflite, model, "nowhere/x.tflite")
    raised(ValueError, export.to_onnx, model, "x.onnx", samples=X[:, :3])
    stateful = keras.Sequential(
        [keras.Input(batch_shape=(1, 5, 4)), layers.LSTM(3, stateful=True)]
    )
    assert "lstm" in raised(ValueError, export.to_onnx, stateful, "x.onnx")
    left()


def check_report():
    model = single()
    report = tf_admm.report(model, (X, LABELS), X, verbose=0)
    assert list(report.failed) == ["shrunk sparse float32"]
    assert len(report.variants) == 7
    dense = report.variants[0]
    assert dense.metric == np.mean(expected(model).argmax(-1) == LABELS)
    small = next(v for v in report.variants if v.name == "shrunk dense float32")
    assert small.metric == dense.metric and small.macs < dense.macs


LABELS = np.arange(6) % 3


def single():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(16, "relu", name="fc1"),
            layers.Dense(3, "softmax"),
        ]
    )
    kernel, bias = model.get_layer("fc1").get_weights()
    kernel[:, :5] = 0.0
    model.get_layer("fc1").set_weights([kernel, bias])
    return model


def check_tf_keras():
    model = single()
    old = export.to_tf_keras(model)
    np.testing.assert_allclose(np.array(old(X)), expected(model), **CLOSE)
    back = export.strip(export.to_tfmot(model), model)
    np.testing.assert_allclose(expected(back), expected(model), **CLOSE)


def check_structure():
    """Tables, budgets, channels, and files of plain models."""
    model = single()
    assert tf_admm.summary(model, verbose=0) is not None
    plan = tf_admm.plan(model, tf_admm.constraints.Sparsity(0.5), verbose=0)
    assert plan is not None
    assert tf_admm.allocate(model, ratio=2, method="uniform", verbose=0) is not None
    assert [g.channels for g in tf_admm.channel_groups(model, verbose=0)] == [6, 16, 3]
    small, report = tf_admm.shrink(model, X, verbose=0)
    assert report.units["fc1/kernel"] == (11, 16)
    np.testing.assert_allclose(expected(small), expected(model), **CLOSE)
    tf_admm.save_compressed(small, "small.keras")
    loaded = keras.saving.load_model("small.keras")
    np.testing.assert_array_equal(expected(loaded), expected(small))
    os.remove("small.keras")
    model.compile("adam", "sparse_categorical_crossentropy")
    tf_admm.freeze_sparsity(model)
    model.fit(X, LABELS, epochs=2, verbose=0)
    assert not np.any(model.get_layer("fc1").get_weights()[0][:, :5])


def check_exactness():
    """TF32 is off while a model says what its file must say, and on again after it."""
    from tf_admm.export.exactness import exact

    def read():
        if keras.config.backend() == "jax":
            import jax

            return jax.config.jax_default_matmul_precision
        import torch

        cudnn = torch.backends.cudnn.allow_tf32
        return torch.get_float32_matmul_precision(), cudnn

    before = read()
    with exact():
        assert read() in ("float32", ("highest", False)), read()
    assert read() == before


def raised(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return str(error)
    raise AssertionError(f"{function.__name__} did not raise {kind.__name__}")


@keras.saving.register_keras_serializable(package="export_elsewhere")
class InMain(layers.Layer):
    def call(self, x):
        return x


def run(name):
    globals()[f"check_{name}"]()
    for entry in os.scandir():
        shutil.rmtree(entry) if entry.is_dir() else os.remove(entry)
    print(name, flush=True)


if __name__ == "__main__":
    assert keras.config.backend() != "tensorflow"
    first, *others = sys.argv[1:]
    run(first)
    # All that follows by one process, as `report` has it.
    with elsewhere.process():
        for other in others:
            run(other)
