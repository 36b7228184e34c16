"""int8 files of networks that people ship: TensorFlow's converter's, and `to_tflite`'s.

    pip install -e ".[hub]"
    python benchmarks/int8.py --networks=MobileNetV3Small,ViT

exports each network of `real_networks.py`, with random weights, to float32, to int8,
and to int8 by the converter alone; compares both int8 files with the model; and
measures the three on one thread, taking turns. Results go to `benchmarks/results`, one
JSON a network; a network whose result is there is not run again.
"""

import json
import pathlib
import tempfile
import warnings

import numpy as np
import real_networks
import timing
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

FLAGS = flags.FLAGS
NETWORKS = [name for name in (*real_networks.APPLICATIONS, "ViT")]
flags.FLAGS.set_default("networks", NETWORKS)
ROWS = 64


def by_converter(model, x, path):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: ([row[None]] for row in x)
    path.write_bytes(converter.convert())


def error(runner, model, x):
    """Root mean square of what a file puts out, less the model's, over the model's."""
    expected = model.predict(x, verbose=0)
    (source,), (result,) = runner.get_input_details(), runner.get_output_details()
    received = []
    for row in x:
        runner.set_tensor(source["index"], row[None])
        runner.invoke()
        received.append(runner.get_tensor(result["index"])[0])
    return float(np.sqrt(np.mean((received - expected) ** 2) / np.mean(expected**2)))


def run(name, folder):
    import tf_admm

    warnings.simplefilter("ignore")
    model = real_networks.built(name)
    x = np.random.default_rng(1).uniform(0, 1, (ROWS, *model.input_shape[1:]))
    x = x.astype("float32")
    paths = {key: folder / f"{key}.tflite" for key in ("float32", "own", "int8")}
    tf_admm.export.to_tflite(model, paths["float32"], sparse=False, samples=x)
    options = {"dtype": "int8", "representative": x, "sparse": False}
    tf_admm.export.to_tflite(model, paths["int8"], **options)
    by_converter(model, x, paths["own"])
    runners = {key: timing.interpreter(path) for key, path in paths.items()}
    seconds = timing.seconds(runners, FLAGS.turns)
    return {
        "network": name,
        "bytes": {key: path.stat().st_size for key, path in paths.items()},
        "milliseconds": {key: timing.milliseconds(seconds, key) for key in paths},
        "faster": timing.faster(seconds, "own", "int8"),
        "error": {key: error(runners[key], model, x[:16]) for key in ("own", "int8")},
    }


def table():
    result = Table(title="int8 files by the converter, and by `to_tflite`")
    heads = ("network", "float32, ms", "converter, ms", "to_tflite, ms", "faster")
    for column in (*heads, "bytes", "error, converter", "error, to_tflite"):
        result.add_column(column, justify="right")
    for name in NETWORKS:
        if path_of(name).exists():
            result.add_row(*cells(json.loads(path_of(name).read_text())))
    return result


def cells(record):
    times = [f"{record['milliseconds'][key]:.2f}" for key in ("float32", "own", "int8")]
    growth = record["bytes"]["int8"] / record["bytes"]["own"]
    errors = [f"{record['error'][key]:.3f}" for key in ("own", "int8")]
    faster = f"{record['faster']:.2f}x"
    return (record["network"], *times, faster, f"{growth - 1:+.1%}", *errors)


def path_of(name):
    return real_networks.RESULTS / f"int8_{name}.json"


def main(_):
    real_networks.RESULTS.mkdir(exist_ok=True)
    for name in () if FLAGS.print_only else FLAGS.networks:
        if not path_of(name).exists():
            with tempfile.TemporaryDirectory() as folder:
                record = run(name, pathlib.Path(folder))
            path_of(name).write_text(json.dumps(record, indent=1) + "\n")
    Console(width=120).print(table())


if __name__ == "__main__":
    app.run(main)
