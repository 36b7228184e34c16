"""What a layer's width costs: TFLite files of eight equal layers, on one thread.

    python benchmarks/widths.py

prints milliseconds of pointwise and depthwise convolutions of 28 x 28 positions, by
the number of channels. Kernels work on tiles of channels, so that a layer narrower than
a tile is no faster: that is how much of what channels save in multiplications arrives.
"""

import os
import tempfile

import numpy as np
import timing
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

LAYERS, SIDE = 8, 28

FLAGS = flags.FLAGS
flags.DEFINE_list("widths", [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 384], "Channels.")
flags.DEFINE_integer("turns", 31, "Runs of each file.", lower_bound=1)


def network(kind, width):
    from keras import Input
    from keras import Model
    from keras import layers

    make = {
        "pointwise": lambda: layers.Conv2D(width, 1, activation="relu6"),
        "depthwise": lambda: layers.DepthwiseConv2D(
            3, padding="same", activation="relu6"
        ),
    }[kind]
    x = inputs = Input((SIDE, SIDE, width))
    for _ in range(LAYERS):
        x = make()(x)
    return Model(inputs, x)


def milliseconds(kind, dtype, widths, folder):
    """Of each width, the files taking turns."""
    import tf_admm

    runners, rng = {}, np.random.default_rng(0)
    for width in widths:
        x = rng.uniform(0, 1, (8, SIDE, SIDE, width)).astype("float32")
        options = {"dtype": dtype, "sparse": False, "samples": x}
        if dtype == "int8":
            options |= {"representative": x, "io_dtype": "int8"}
        path = os.path.join(folder, f"{kind}_{width}_{dtype}.tflite")
        report = tf_admm.export.to_tflite(network(kind, width), path, **options)
        runners[width] = timing.interpreter(report.path)
    seconds = timing.seconds(runners, FLAGS.turns)
    return [timing.milliseconds(seconds, width) for width in widths]


def main(_):
    widths = [int(width) for width in FLAGS.widths]
    table = Table(title="Milliseconds of eight layers", box=None)
    table.add_column("layers")
    for width in widths:
        table.add_column(str(width), justify="right")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("pointwise", "depthwise"):
            for dtype in ("float32", "int8"):
                found = milliseconds(kind, dtype, widths, folder)
                table.add_row(f"{kind}, {dtype}", *[f"{time:.2f}" for time in found])
    Console(width=120).print(table)


if __name__ == "__main__":
    app.run(main)
