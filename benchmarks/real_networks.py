"""Networks that people ship, with half of the channels of every group.

    pip install -e ".[hub]"
    python benchmarks/real_networks.py --networks=MobileNetV2,ResNet50V2

builds each network with random weights, prunes half of the channels of every group
that can be pruned by a short `fit` of `ADMMModel`, shrinks it, checks that every
channel that was asked for is gone and that the outputs are the same, exports both to
TFLite as float32 and int8, and measures the files on one thread, taking turns. Results
go to `benchmarks/results`, one JSON a network; a network whose result is there is not
run again. It ends with exit code 1 if a check fails.
"""

import json
import os
import pathlib
import sys
import tempfile
import time
import warnings

import numpy as np
import timing
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
CLASSES, LENGTH, VOCABULARY = 10, 12, 50
#: Name: pixels a side.
APPLICATIONS = {
    "MobileNetV2": 96,
    "MobileNetV3Small": 96,
    "EfficientNetV2B0": 96,
    "ResNet50V2": 96,
    "ConvNeXtTiny": 96,
    "DenseNet121": 96,
    "Xception": 96,
    "NASNetMobile": 96,
}
TEXT = {"vocabulary_size": VOCABULARY, "num_layers": 2, "num_heads": 4}
TEXT |= {"hidden_dim": 128, "intermediate_dim": 512, "max_sequence_length": LENGTH}
HUB = {
    "ViT": (
        "ViTBackbone",
        {"image_shape": (96, 96, 3), "patch_size": 16, "num_layers": 2}
        | {"num_heads": 4, "hidden_dim": 128, "mlp_dim": 512},
    ),
    "BERT": ("BertBackbone", TEXT),
    "GPT2": ("GPT2Backbone", TEXT),
}
ROWS = 8
#: Largest difference of the outputs, relative to max(1, largest |output|).
TOLERANCE = 1e-5

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", [*APPLICATIONS, *HUB], "Networks to run.")
flags.DEFINE_float("fraction", 0.5, "Of the channels of each group, to be pruned.")
flags.DEFINE_integer("turns", 21, "Runs of each file.", lower_bound=1)
flags.DEFINE_bool("print_only", False, "Print the table of what is there.")


def built(name):
    """A classifier of logits, with statistics that are not their beginnings."""
    import keras

    keras.utils.set_random_seed(0)
    if name in APPLICATIONS:
        size = APPLICATIONS[name]
        model = getattr(keras.applications, name)(
            weights=None,
            input_shape=(size, size, 3),
            classes=CLASSES,
            classifier_activation=None,
        )
    else:
        import keras_hub

        kind, options = HUB[name]
        backbone = getattr(keras_hub.models, kind)(**options)
        y = backbone.output
        y = y["sequence_output"] if isinstance(y, dict) else y
        y = keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling1D()(y))
        model = keras.Model(backbone.input, y, name=name)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(size=layer.moving_mean.shape) * 0.1)
    return model


def inputs_of(model):
    import keras

    rng = np.random.default_rng(1)

    def random(x):
        shape = (ROWS, *(n or LENGTH for n in x.shape[1:]))
        if keras.backend.is_float_dtype(x.dtype):
            return rng.uniform(0, 1, shape).astype("float32")
        # Of masks all is seen, and of words there are as many.
        top = VOCABULARY if "token" in x.name else 2
        return rng.integers(1, top, shape).astype(x.dtype)

    return keras.tree.map_structure(random, model.input)


def pruned(model, x):
    """A short `fit`: ADMM, the cut, and retraining."""
    import keras

    import tf_admm

    half = tf_admm.constraints.GroupSparsity(FLAGS.fraction)
    admm = tf_admm.ADMMModel(model, half, rho=1e-3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    admm.compile(keras.optimizers.Adam(1e-4), loss, jit_compile=False)
    y = np.arange(ROWS) % CLASSES
    admm.fit(
        x,
        y,
        batch_size=ROWS,
        epochs=3,
        verbose=0,
        callbacks=[tf_admm.ADMMCallback(admm_epochs=2)],
    )


def macs(model, x):
    from tf_admm.structure import kernels
    from tf_admm.structure import uses

    counts = uses.uses(model, x)
    return sum(counts.get(id(k.variable), 0) * k.size for k in kernels.find(model))


def shrunk(model, x):
    """The small model, and what is to be told of it."""
    import keras

    import tf_admm

    groups = tf_admm.channel_groups(model, samples=x, verbose=0)
    start = time.process_time()
    small, report = tf_admm.shrink(model, samples=x, verbose=0)
    seconds = time.process_time() - start
    # Each kernel that makes a group's channels, as many as were not asked for.
    missed = []
    for group in groups.prunable:
        asked = round(FLAGS.fraction * group.channels)
        left, total = report.units[group.producers[0].path]
        if group.dead().sum() < asked or left * group.channels != total * (
            group.channels - asked
        ):
            missed.append(group.name)
    a, b = (keras.ops.convert_to_numpy(m(x, training=False)) for m in (model, small))
    difference = float(np.abs(a - b).max() / max(1.0, np.abs(a).max()))
    return small, {
        "groups": len(groups),
        "pruned": len(groups.prunable),
        "stay": {g.name: g.why for g in groups if g.why is not None},
        "missed": missed,
        "stopped": report.stopped,
        "difference": difference,
        "seconds": round(seconds, 2),
        "parameters": report.total_parameters,
        "parameters_left": report.parameters,
        "macs": macs(model, x),
        "macs_left": macs(small, x),
    }


def files(models, x, dtype, folder):
    """Bytes of both models' files, and how many times faster the small one's is."""
    import keras

    import tf_admm

    options = {"dtype": dtype, "sparse": False, "samples": x}
    if dtype == "int8":
        options["representative"] = x
    found = {}
    for name, model in models.items():
        path = os.path.join(folder, f"{name}_{dtype}.tflite")
        try:
            found[name] = tf_admm.export.to_tflite(model, path, **options)
        except (RuntimeError, ValueError) as error:
            return {"failed": str(error)}
    shapes = {
        y.name: (1, *np.shape(array)[1:])
        for y, array in zip(
            keras.tree.flatten(models["dense"].input), keras.tree.flatten(x)
        )
    }
    open_sizes = any(None in y.shape[1:] for y in models["dense"].inputs)
    runners = {
        name: timing.interpreter(report.path, shapes if open_sizes else None)
        for name, report in found.items()
    }
    seconds = timing.seconds(runners, FLAGS.turns)
    return {
        "bytes": found["dense"].bytes,
        "bytes_left": found["small"].bytes,
        "milliseconds": timing.milliseconds(seconds, "dense"),
        "faster": timing.faster(seconds, "dense", "small"),
    }


def run(name):
    warnings.simplefilter("ignore")
    model = built(name)
    x = inputs_of(model)
    pruned(model, x)
    small, record = shrunk(model, x)
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float32", "int8"):
            models = {"dense": model, "small": small}
            record[dtype] = files(models, x, dtype, folder)
    return {"network": name, "fraction": FLAGS.fraction} | record


def path_of(name):
    return RESULTS / f"real_{name}.json"


def is_good(record):
    return not record["missed"] and record["difference"] <= TOLERANCE


def table():
    result = Table(title="Half of the channels of every group")
    for column in ("network", "groups", "pruned", "all gone", "difference"):
        result.add_column(column, justify="right", no_wrap=True)
    for column in ("parameters", "MACs left", "shrink, s"):
        result.add_column(column, justify="right", no_wrap=True)
    for dtype in ("float32", "int8"):
        result.add_column(f"{dtype} smaller", justify="right")
        result.add_column(f"{dtype} faster", justify="right")
    for name in (*APPLICATIONS, *HUB):
        if path_of(name).exists():
            result.add_row(*cells(json.loads(path_of(name).read_text())))
    return result


def cells(record):
    measured = []
    for dtype in ("float32", "int8"):
        file = record[dtype]
        if "failed" in file:
            measured += ["-", "-"]
        else:
            measured.append(f"{file['bytes'] / file['bytes_left']:.2f}x")
            measured.append(f"{file['faster']:.2f}x")
    return (
        record["network"],
        str(record["groups"]),
        str(record["pruned"]),
        "yes" if not record["missed"] else f"not {len(record['missed'])}",
        f"{record['difference']:.0e}",
        f"{record['parameters_left'] / record['parameters']:.1%}",
        f"{record['macs_left'] / record['macs']:.1%}",
        f"{record['seconds']:.1f}",
        *measured,
    )


def main(_):
    RESULTS.mkdir(exist_ok=True)
    for name in () if FLAGS.print_only else FLAGS.networks:
        if not path_of(name).exists():
            record = run(name)
            path_of(name).write_text(json.dumps(record, indent=1) + "\n")
    Console(width=150).print(table())
    found = [path_of(name) for name in FLAGS.networks if path_of(name).exists()]
    sys.exit(not all(is_good(json.loads(path.read_text())) for path in found))


if __name__ == "__main__":
    app.run(main)
