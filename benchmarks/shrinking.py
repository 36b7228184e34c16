"""Parameters and multiplications that `tf_admm.shrink` leaves of several models.

    python benchmarks/shrinking.py

LeNet-5 is the committed dense one, pruned by magnitude at the rates of the 71.2x
recipe (or `--lenet_path`, a pruned one of `examples/prune_admm.py`). The others
have random weights, and without half of their filters, which is as random: of the
first convolution of each block of a ResNet-20, of the expanding and projecting ones
of a MobileNetV2, of a nested model, and of a layer that two branches share. The
difference is the largest of any output, over the largest output.
"""

import pathlib

import keras
import numpy as np
from absl import app
from absl import flags
from keras import layers
from rich.console import Console
from rich.table import Table

import tf_admm
from tf_admm import constraints
from tf_admm.reporting.variants import macs

ROOT = pathlib.Path(__file__).resolve().parents[1]
RATES = {"conv1": 0.8, "conv2": 0.92, "fc1": 0.991, "fc2": 0.93}

FLAGS = flags.FLAGS
flags.DEFINE_string("lenet_path", None, "A pruned LeNet-5, in place of ours.")
flags.DEFINE_integer("seed", 0, "Of weights and inputs.")


def project(model, sets):
    tf_admm.ADMMModel(model, sets).finalize()
    return model


def lenet():
    if FLAGS.lenet_path:
        return keras.saving.load_model(FLAGS.lenet_path)
    model = keras.saving.load_model(ROOT / "saved_models" / "lenet5_dense.keras")
    rates = {name: constraints.Sparsity(rate) for name, rate in RATES.items()}
    return project(model, rates)


def resnet20():
    """He et al., 2015, section 4.2, with convolutions where it changes shape."""
    inputs = keras.Input((32, 32, 3))
    x = _convolved(inputs, 16, 1, "stem")
    for stage, width in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            y = _convolved(x, width, stride, f"inner_{stage}_{block}")
            y = _normalised(y, width, 1, f"outer_{stage}_{block}")
            if stride > 1:
                x = layers.Conv2D(width, 1, 2, name=f"short_{stage}")(x)
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(10)(x))
    return project(model, {"inner.*": constraints.FilterSparsity(0.5)})


def _normalised(x, width, stride, name):
    x = layers.Conv2D(width, 3, stride, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization()(x)


def _convolved(x, width, stride, name):
    return layers.ReLU()(_normalised(x, width, stride, name))


def mobilenet_v2():
    model = keras.applications.MobileNetV2((96, 96, 3), weights=None, classes=10)
    return project(model, {"(.*_)?(expand|project)": constraints.FilterSparsity(0.5)})


def nested():
    inner = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(32, 3, activation="relu", name="one"),
            layers.Conv2D(64, 3, activation="relu", name="two"),
        ],
        name="inner",
    )
    inputs = keras.Input((16, 16, 3))
    x = layers.Flatten()(layers.MaxPooling2D()(inner(inputs)))
    model = keras.Model(inputs, layers.Dense(10)(x))
    return project(model, {"one|two": constraints.FilterSparsity(0.5)})


def shared():
    left, right = keras.Input((64,)), keras.Input((64,))
    twin = layers.Dense(256, "relu", name="twin")
    x = layers.Concatenate()([twin(left), twin(right)])
    x = layers.Dense(128, "relu", name="after")(x)
    model = keras.Model([left, right], layers.Dense(10)(x))
    return project(model, {"twin|after": constraints.FilterSparsity(0.5)})


def randomise(model):
    """Biases, scales and statistics that would show if they were lost."""
    for variable in model.weights:
        if variable.name in ("bias", "beta", "gamma", "moving_mean"):
            noise = keras.random.normal(variable.shape, stddev=0.3)
            variable.assign(variable + noise)
    return model


MODELS = {
    "LeNet-5": lenet,
    "ResNet-20": lambda: randomise(resnet20()),
    "MobileNetV2": lambda: randomise(mobilenet_v2()),
    "nested": lambda: randomise(nested()),
    "shared layer": lambda: randomise(shared()),
}


def row(name, make):
    keras.utils.set_random_seed(FLAGS.seed)
    model = make()
    small, report = tf_admm.shrink(model, verbose=0)
    x = [keras.random.normal((32, *tensor.shape[1:])) for tensor in model.inputs]
    expected, found = (np.array(m(x, training=False)) for m in (model, small))
    difference = np.abs(expected - found).max() / np.abs(expected).max()
    before, after = macs(model, zeros=True), macs(small, zeros=True)
    return (
        name,
        f"{report.total_parameters:,}",
        f"{report.parameters:,}",
        f"{report.total_parameters / report.parameters:.2f}x",
        f"{before:,}",
        f"{after:,}",
        f"{before / after:.2f}x",
        f"{difference:.0e}",
        ", ".join(report.stopped) or "-",
    )


def main(_):
    table = Table(title="shrink")
    for column in ("model", "parameters", "left", "ratio", "MACs", "left", "ratio"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for column in ("difference", "stopped at"):
        table.add_column(column, justify="right")
    for name, make in MODELS.items():
        table.add_row(*row(name, make))
    Console(width=120).print(table)


if __name__ == "__main__":
    app.run(main)
