"""Batch normalisation of slow momentum in a short training, three ways.

    python benchmarks/normalisation.py --cifar_path=cifar10.npz

MobileNetV3Small, whose momentum is 0.999, is trained on 7,000 images of CIFAR-10, and
half of its multiplications are pruned by channels in 6 epochs of 110 steps. Prints the
validation accuracy as it is after that, by `recalibrate`, and of the same training by a
momentum of 0.96, which the warning names. Takes a quarter of an hour on two cores.
"""

import json
import pathlib
import warnings

import keras
import numpy as np
from absl import app
from absl import flags
from keras import layers as L
from rich.console import Console
from rich.table import Table

import tf_admm
from tf_admm.structure import statistics

FLAGS = flags.FLAGS
flags.DEFINE_string("cifar_path", None, "cifar10.npz, in Keras' layout.", required=True)
flags.DEFINE_integer("epochs", 12, "Epochs of the dense training.", lower_bound=1)
RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "normalisation.json"
TRAIN, VALIDATION, BATCH = 7000, 1000, 64
SLOW, FAST = 0.999, 0.96


def data():
    with np.load(FLAGS.cifar_path) as file:
        rows = TRAIN + VALIDATION
        x = file["x_train"][:rows].astype("float32")
        y = file["y_train"][:rows].ravel()
    return (x[:TRAIN], y[:TRAIN]), (x[TRAIN:], y[TRAIN:])


def network():
    base = keras.applications.MobileNetV3Small(
        (64, 64, 3), weights=None, include_top=False, pooling="avg"
    )
    ends = [keras.Input((32, 32, 3)), L.UpSampling2D(2), base, L.Dense(10)]
    return keras.Sequential(ends)


def compiled(model, rate, steps):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps, 0.1)
    model.compile(
        keras.optimizers.Adam(schedule), loss, metrics=["accuracy"], jit_compile=False
    )
    return model


def accuracy(model, validation):
    return model.evaluate(*validation, verbose=0, return_dict=True)["accuracy"]


def give(model, momentum):
    for layer in statistics.layers(model):
        layer.momentum = momentum


def pruned(dense, train, momentum):
    """A copy with half of the multiplications, its statistics by this momentum."""
    keras.utils.set_random_seed(1)
    model = keras.models.clone_model(dense)
    model.set_weights(dense.get_weights())
    give(model, momentum)
    sets = tf_admm.allocate(
        model, macs=0.5, structure="channels", method="uniform", verbose=0
    )
    admm = tf_admm.ADMMModel(model, sets)
    compiled(admm, 1e-3, 6 * -(-TRAIN // BATCH))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        admm.fit(
            *train,
            batch_size=BATCH,
            epochs=6,
            verbose=2,
            callbacks=[tf_admm.ADMMCallback(4)],
        )
    print(*(w.message for w in told if "statistics" in str(w.message)), sep="\n")
    return compiled(model, 1e-3, 1)


def measured():
    train, validation = data()
    keras.utils.set_random_seed(0)
    dense = compiled(network(), 2e-3, FLAGS.epochs * -(-TRAIN // BATCH))
    give(dense, FAST)
    dense.fit(*train, batch_size=BATCH, epochs=FLAGS.epochs, verbose=2)
    found = {"dense": accuracy(dense, validation)}
    slow = pruned(dense, train, SLOW)
    found["momentum 0.999"] = accuracy(slow, validation)
    tf_admm.recalibrate(slow, train[0])
    found["the same, recalibrated"] = accuracy(slow, validation)
    found["momentum 0.96"] = accuracy(pruned(dense, train, FAST), validation)
    return found


def main(_):
    found = measured()
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    table = Table(title="MobileNetV3Small, half of its multiplications")
    table.add_column("statistics")
    table.add_column("validation accuracy, %", justify="right")
    for name, value in found.items():
        table.add_row(name, f"{100 * value:.1f}")
    Console().print(table)


if __name__ == "__main__":
    app.run(main)
