"""Rates by curvature, few epochs and many, with gradual pruning and tfmot beside them.

    python benchmarks/records.py --data_path=mnist.npz --cifar_path=cifar10.npz

prunes each network to each ratio, each seed from its own dense training, by ADMM, by
gradual pruning with the same scores, schedules and epochs, and (for the cases that have
rates by hand) by tfmot with these; and prints the test accuracies. Results go to
`benchmarks/results`, one JSON a run; a run whose result is there is not made again,
and one that was killed goes on where it was.
"""

import json
import os
import subprocess
import sys

import mnist
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

#: 130 epochs.
LONG = {"admm_epochs": 80, "retrain_epochs": 50}
#: Name: recipes of the dense training and of the pruning, its options, rates of tfmot.
CASES = {
    "lenet5_71x_15": (
        "lenet5_dense",
        "lenet5_short",
        {"ratio": 71.157},
        "conv1=0.8,conv2=0.92,fc1=0.991,fc2=0.93",
    ),
    "lenet5_169x_15": (
        "lenet5_dense",
        "lenet5_short",
        {"ratio": 168.82},
        "conv1=0.8,conv2=0.97,fc1=0.9965,fc2=0.94",
    ),
    "lenet300_23x_50": ("lenet300_dense", "lenet300_curvature", {"ratio": 22.9}, None),
    "lenet300_60x_130": (
        "lenet300_dense",
        "lenet300_curvature",
        {"ratio": 60, **LONG},
        None,
    ),
    **{
        f"lenet5_{name}x_130_shift": (
            "lenet5_dense",
            "lenet5_short",
            {"ratio": ratio, "augmentation": "shift", **LONG},
            None,
        )
        for name, ratio in (("71", 71.157), ("169", 168.82), ("350", 350))
    },
    "lenet5_350x_130": ("lenet5_dense", "lenet5_short", {"ratio": 350, **LONG}, None),
}

FLAGS = flags.FLAGS
flags.DEFINE_list("cases", list(CASES), "Cases to run.")
flags.FLAGS.set_default("methods", ["admm", "gradual", "tfmot"])


def run(case, method, seed):
    dense_recipe, recipe, options, rates = CASES[case]
    paths = mnist.outputs(f"records_{case}_{method}_{seed}")
    if paths["report_path"].exists() or (method == "tfmot" and rates is None):
        return
    model_path = mnist.dense(dense_recipe, seed)
    given = {"seed": seed, "model_path": model_path, **options}
    if method == "tfmot":
        by_tfmot(recipe, rates, given, paths["report_path"])
    else:
        mnist.script("prune_admm.py", recipe, method=method, **given, **paths)


def by_tfmot(recipe, rates, given, report_path):
    """In a process of its own, since tfmot changes Keras for the whole process."""
    recipe = mnist.ROOT / "examples" / "recipes" / f"{recipe}.flags"
    given = given | {"data_path": FLAGS.data_path, "sparsity": rates}
    options = [f"--{key}={value}" for key, value in given.items() if key != "ratio"]
    script = str(mnist.ROOT / "benchmarks" / "tfmot_gradual.py")
    report = f"--report_path={report_path}"
    command = [sys.executable, script, f"--flagfile={recipe}", *options, report]
    subprocess.run(command, check=True)


def table():
    result = Table(title="Test accuracy, %")
    for column in ("case", "method", "ratio", "seeds", "mean", "min", "live"):
        result.add_column(column, no_wrap=True)
    for case in CASES:
        for method in FLAGS.methods:
            paths = sorted(mnist.RESULTS.glob(f"records_{case}_{method}_?.json"))
            runs = [json.loads(path.read_text()) for path in paths]
            if runs:
                result.add_row(case, method, *mnist.figures(runs))
    return result


def main(_):
    mnist.RESULTS.mkdir(exist_ok=True)
    os.makedirs(FLAGS.work_dir, exist_ok=True)
    if not FLAGS.print_only:
        for case in FLAGS.cases:
            for seed in FLAGS.seeds:
                for method in FLAGS.methods:
                    run(case, method, seed)
    Console(width=110).print(table())


if __name__ == "__main__":
    app.run(main)
