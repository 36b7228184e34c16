"""ResNet-8 on CIFAR-10 with half of its multiplications, by whole channels.

    python benchmarks/channels.py --cifar_path=cifar10.npz

trains a dense network for each seed, halves its multiplications by
`allocate(structure="channels")`, prunes, retrains and shrinks it, and prints test
accuracy, multiplications, bytes, and the speed of the TFLite files on one thread.
Beside the rates of `"sensitivity"` are uniform ones; beside ADMM is the same network
with the same rates, groups, epochs and retraining, whose channels of least norm are cut
at once. Results go to `benchmarks/results`, one JSON a run; a run whose result is there
is not made again, and one that was killed goes on where it was.
"""

import json
import os
import statistics
import tempfile

import mnist
import timing
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

#: Name: method of `allocate`, method of `prune_admm.py`.
CASES = {
    "sensitivity": ("sensitivity", "admm"),
    "uniform": ("uniform", "admm"),
    "oneshot": ("sensitivity", "oneshot"),
}
TURNS = 51

FLAGS = flags.FLAGS
flags.DEFINE_string("cifar_path", None, "cifar10.npz, in Keras' layout.")
flags.DEFINE_float("share", 0.5, "Multiplications left.")
flags.DEFINE_list("cases", list(CASES), "Cases to run.")


def prune(case, seed):
    name = f"channels_{case}_{seed}"
    paths = mnist.outputs(name)
    if paths["report_path"].exists():
        return
    method, cut = CASES[case]
    dense = mnist.dense("resnet8_dense", seed, data_path=FLAGS.cifar_path)
    rates = os.path.join(FLAGS.work_dir, f"channels_{method}_{seed}_rates.json")
    if not os.path.exists(rates):
        mnist.script(
            "allocate.py",
            model_path=dense,
            allocation_path=rates,
            macs=int(FLAGS.share * macs(load(dense))),
            structure="channels",
            method=method,
            data_path=FLAGS.cifar_path,
        )
    mnist.script(
        "prune_admm.py",
        "resnet8_channels",
        seed=seed,
        method=cut,
        constraints=rates,
        model_path=dense,
        data_path=FLAGS.cifar_path,
        **paths,
    )


def load(path):
    import keras

    return keras.saving.load_model(path, compile=False)


def macs(model):
    """Multiplications of one sample."""
    from tf_admm.structure import kernels
    from tf_admm.structure import uses

    counts = uses.uses(model)
    return sum(counts[id(k.variable)] * k.size for k in kernels.find(model))


def measure(case, seed):
    """The shrunk network beside the dense one, added to the run's report."""
    import tf_admm

    paths = mnist.outputs(f"channels_{case}_{seed}")
    report = json.loads(paths["report_path"].read_text())
    if "speed" in report:
        return
    dense = load(mnist.dense("resnet8_dense", seed, data_path=FLAGS.cifar_path))
    small, shrunk = tf_admm.shrink(load(paths["save_path"]), verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: tf_admm.export.to_tflite(model, f"{folder}/{name}.tflite")
            for name, model in (("dense", dense), ("small", small))
        }
        runners = {k: timing.interpreter(file.path) for k, file in files.items()}
        found = timing.seconds(runners, TURNS)
    report |= {
        "macs": macs(dense),
        "macs_left": macs(small),
        "parameters": shrunk.total_parameters,
        "parameters_left": shrunk.parameters,
        "max_difference": shrunk.max_difference,
        "bytes": files["dense"].bytes,
        "bytes_left": files["small"].bytes,
        "speed": timing.faster(found, "dense", "small"),
    }
    paths["report_path"].write_text(json.dumps(report, indent=1) + "\n")


def table():
    result = Table(title="ResNet-8 on CIFAR-10, channels: test accuracy, %")
    for column in ("case", "seeds", "mean", "min", "dense", "lost"):
        result.add_column(column, justify="right", no_wrap=True)
    for column in ("MACs left", "bytes", "faster"):
        result.add_column(column, justify="right", no_wrap=True)
    for case in CASES:
        paths = sorted(mnist.RESULTS.glob(f"channels_{case}_?.json"))
        runs = [json.loads(path.read_text()) for path in paths]
        runs = [run for run in runs if "speed" in run]
        if runs:
            accuracy = [100 * run["test"] for run in runs]
            result.add_row(
                case,
                str(len(runs)),
                f"{statistics.mean(accuracy):.2f}",
                f"{min(accuracy):.2f}",
                f"{statistics.mean(100 * run['dense_test'] for run in runs):.2f}",
                mnist.lost(runs),
                f"{statistics.mean(r['macs_left'] / r['macs'] for r in runs):.1%}",
                f"{statistics.mean(r['bytes'] / r['bytes_left'] for r in runs):.2f}x",
                f"{statistics.mean(run['speed'] for run in runs):.2f}x",
            )
    return result


def main(_):
    mnist.RESULTS.mkdir(exist_ok=True)
    os.makedirs(FLAGS.work_dir, exist_ok=True)
    for seed in () if FLAGS.print_only else FLAGS.seeds:
        for case in FLAGS.cases:
            prune(case, seed)
    for seed in () if FLAGS.print_only else FLAGS.seeds:
        for case in FLAGS.cases:
            measure(case, seed)
    Console(width=120).print(table())


if __name__ == "__main__":
    app.run(main)
