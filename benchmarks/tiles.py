"""Half of the multiplications, by any number of channels and by whole tiles of them.

    python benchmarks/tiles.py

gives each network half of its multiplications by `allocate(structure="channels")` with
each `tile`, at once and with random weights, and prints how many times faster the small
network is than the dense one as float32 and as int8 with int8 inputs, on one thread,
files taking turns, and the share of the multiplications left.
"""

import os
import pathlib
import sys
import tempfile

import keywords
import numpy as np
import timing
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", ["ResNet-8", "DS-CNN", "MobileNetV2"], "Networks to run.")
flags.DEFINE_list("tiles", [1, 8, 16], "Tiles.")
flags.DEFINE_float("share", 0.5, "Of the multiplications, to be left.")
DTYPES = ("float32", "int8")


def network(name):
    import keras

    import models

    if name == "ResNet-8":
        return models.resnet8((32, 32, 3), 10, dropout=0.0)
    if name == "DS-CNN":
        return keywords.ds_cnn()
    return getattr(keras.applications, name)(
        weights=None, input_shape=(96, 96, 3), classes=10, classifier_activation=None
    )


def pruned(model, tile):
    """The model with its share of the multiplications."""
    import tf_admm

    allocation = tf_admm.allocate(
        model,
        macs=FLAGS.share * keywords.macs(model),
        structure="channels",
        method="uniform",
        tile=tile,
        verbose=0,
    )
    admm = tf_admm.ADMMModel(model, allocation, rho=0.0)
    admm.finalize()
    return tf_admm.shrink(admm.model, verbose=0)[0]


def runner(model, dtype, path):
    import tf_admm

    x = np.random.default_rng(0).uniform(0, 1, (8, *model.input_shape[1:]))
    options = {"dtype": dtype, "sparse": False, "samples": x.astype("float32")}
    if dtype == "int8":
        options |= {"representative": options["samples"], "io_dtype": "int8"}
    return timing.interpreter(tf_admm.export.to_tflite(model, path, **options).path)


def row(name, folder):
    """Times faster of each dtype, and the share that is left, of each tile."""
    dense = network(name)
    small = {tile: pruned(network(name), int(tile)) for tile in FLAGS.tiles}
    runners = {
        (tile, dtype): runner(model, dtype, os.path.join(folder, f"{tile}_{dtype}"))
        for tile, model in {"dense": dense, **small}.items()
        for dtype in DTYPES
    }
    seconds = timing.seconds(runners, FLAGS.turns)
    for tile, model in small.items():
        yield [
            f"{keywords.macs(model) / keywords.macs(dense):.1%}",
            *(
                f"{timing.faster(seconds, ('dense', dtype), (tile, dtype)):.2f}x"
                for dtype in DTYPES
            ),
        ]


def main(_):
    table = Table(title=f"{FLAGS.share:.0%} of the multiplications", box=None)
    for column in ("network", "tile", "left", *DTYPES):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        for name in FLAGS.networks:
            for tile, figures in zip(FLAGS.tiles, row(name, folder)):
                table.add_row(name, str(tile), *figures)
    Console(width=90).print(table)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app.run(main)
