"""DS-CNN of MLPerf Tiny's keyword spotting, halved and halved again, to int8.

    python benchmarks/keywords.py

The network of Zhang et al., 2017, arXiv:1711.07128, in the shape that MLPerf Tiny has
it (49 x 10 inputs, 64 channels), on scikit-learn's digits stretched to that shape: no
audio comes with a package. Multiplications are cut to a half and a quarter by
`allocate(structure="channels")`; each small network goes to TFLite with int8 inputs and
outputs, as TFLite Micro needs it. Accuracy is on the 360 test images; the files take
turns on one thread of this machine; the arena is an estimate (`ExportReport`).
"""

import os
import tempfile

import keras
import numpy as np
import timing
from absl import app
from absl import flags
from keras import layers
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

import tf_admm
from tf_admm.structure import kernels
from tf_admm.structure import uses

FLAGS = flags.FLAGS
flags.DEFINE_integer("dense_epochs", 12, "Epochs of the dense training.")
flags.DEFINE_integer("admm_epochs", 8, "Epochs of ADMM.")
flags.DEFINE_integer("retrain_epochs", 8, "Epochs after it.")
flags.DEFINE_list("shares", ["0.5", "0.25"], "Multiplications left.")
flags.DEFINE_integer("seed", 0, "Seed of all that is random.")
flags.DEFINE_integer("turns", 101, "Runs of each file.", lower_bound=1)

TEST, VALIDATION = 360, 200


def data():
    """Train, validation and test pairs; images of 49 x 10 in [0, 1]."""
    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8)[:, np.arange(49) * 8 // 49][:, :, np.arange(10) * 8 // 10]
    rows = np.random.default_rng(0).permutation(len(x))
    x, y = (x[rows] / 16.0).astype("float32")[..., None], y[rows]
    cuts = [len(x) - TEST - VALIDATION, len(x) - TEST]
    return list(zip(np.split(x, cuts), np.split(y, cuts)))


def ds_cnn():
    inputs = keras.Input((49, 10, 1), name="features")
    x = layers.Conv2D(64, (10, 4), 2, "same", use_bias=False, name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    for i in range(4):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"dw{i}")(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.Conv2D(64, 1, use_bias=False, name=f"pw{i}")(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.GlobalAveragePooling2D()(layers.Dropout(0.2)(x))
    return keras.Model(inputs, layers.Dense(10, name="words")(x), name="ds_cnn")


def compiled(model, rate=1e-3):
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def macs(model):
    counts = uses.uses(model)
    return sum(counts[id(k.variable)] * k.size for k in kernels.find(model))


def pruned(dense, share, train, validation):
    """The dense network with so much of its multiplications, trained and shrunk."""
    model = keras.models.clone_model(dense)
    model.set_weights(dense.get_weights())
    rates = tf_admm.allocate(
        compiled(model),
        macs=int(share * macs(dense)),
        structure="channels",
        method="sensitivity",
        data=validation,
    )
    rho = tf_admm.schedules.Cosine(1e-3, 3e-2)
    admm = compiled(tf_admm.ADMMModel(model, rates, rho))
    epochs = FLAGS.admm_epochs + FLAGS.retrain_epochs
    callbacks = [tf_admm.ADMMCallback(FLAGS.admm_epochs)]
    admm.fit(*train, 32, epochs, verbose=2, callbacks=callbacks)
    return tf_admm.shrink(model, verbose=0)[0]


def exported(model, folder, name, x):
    return tf_admm.export.to_tflite(
        model,
        os.path.join(folder, f"{name}.tflite"),
        sparse=False,
        dtype="int8",
        io_dtype="int8",
        representative=x,
    )


def accuracy(path, x, y):
    """Of a file with int8 inputs and outputs."""
    runner = timing.interpreter(path)
    (source,), (result,) = runner.get_input_details(), runner.get_output_details()
    scale, zero = source["quantization"]
    codes = np.clip(np.round(x / scale) + zero, -128, 127).astype("int8")
    right = 0
    for row, label in zip(codes, y):
        runner.set_tensor(source["index"], row[None])
        runner.invoke()
        right += int(runner.get_tensor(result["index"]).argmax() == label)
    return right / len(x)


def main(_):
    keras.utils.set_random_seed(FLAGS.seed)
    train, validation, test = data()
    dense = compiled(ds_cnn(), 3e-3)
    dense.fit(*train, 32, FLAGS.dense_epochs, verbose=2)
    models = {"dense": dense}
    for share in FLAGS.shares:
        models[share] = pruned(dense, float(share), train, validation)
    table = Table(title="DS-CNN, int8 inputs and outputs")
    for column in ("MACs", "left", "bytes", "arena, bytes", "faster"):
        table.add_column(column, justify="right")
    for column in ("Keras, %", "int8, %"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        files = {k: exported(m, folder, k, train[0]) for k, m in models.items()}
        runners = {k: timing.interpreter(file.path) for k, file in files.items()}
        seconds = timing.seconds(runners, FLAGS.turns)
        for name, model in models.items():
            _, keras_accuracy = compiled(model).evaluate(*test, verbose=0)
            table.add_row(
                f"{macs(model):,}",
                f"{macs(model) / macs(dense):.1%}",
                f"{files[name].bytes:,}",
                f"{files[name].arena_bytes:,}",
                f"{timing.faster(seconds, 'dense', name):.2f}x",
                f"{100 * keras_accuracy:.2f}",
                f"{100 * accuracy(files[name].path, *test):.2f}",
            )
    Console().print(table)


if __name__ == "__main__":
    app.run(main)
