"""The paper's MNIST experiment, with magnitude pruning beside it.

    python benchmarks/mnist.py --data_path=mnist.npz --work_dir=runs

runs each recipe of `examples/recipes` for each seed, each from its own dense
training, by ADMM and by two baselines at the same budget and rates, and prints
the table of test accuracies. Results go to `benchmarks/results`, one JSON a
run; a run whose result is there is not made again, and one that was killed goes
on where it was.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
RECIPES = {
    "lenet5_71x": "lenet5_dense",
    "lenet5_169x": "lenet5_dense",
    "lenet300_23x": "lenet300_dense",
}
METHODS = ("admm", "oneshot", "gradual")

FLAGS = flags.FLAGS
flags.DEFINE_string("data_path", None, "mnist.npz, in Keras' layout.")
flags.DEFINE_string("work_dir", "runs", "Where models and histories go.")
flags.DEFINE_list("recipes", list(RECIPES), "Recipes to run.")
flags.DEFINE_list("methods", list(METHODS), "Methods to run.")
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds to run.")
flags.DEFINE_bool("print_only", False, "Print the table of what is there.")


def script(name, recipe=None, **options):
    """Run one of the example scripts, with a recipe if it has one."""
    command = [sys.executable, str(ROOT / "examples" / name)]
    if recipe:
        command.append(f"--flagfile={ROOT / 'examples' / 'recipes' / recipe}.flags")
    options = {"data_path": FLAGS.data_path, **options}
    given = {key: value for key, value in options.items() if value is not None}
    command += [f"--{key}={value}" for key, value in given.items()]
    subprocess.run(command, check=True)


def dense(recipe, seed, **options):
    """Path of the dense model, trained unless it is there."""
    path = os.path.join(FLAGS.work_dir, f"{recipe}_{seed}.keras")
    if not os.path.exists(path):
        script("train_dense.py", recipe, seed=seed, save_path=path, **options)
    return path


def outputs(name):
    """The files that `prune_admm.py` makes of a run; the report says it was made."""
    stem = os.path.join(FLAGS.work_dir, name)
    return {
        "save_path": f"{stem}.keras",
        "history_path": f"{stem}.csv",
        "picture_path": f"{stem}.png",
        "backup_dir": f"{stem}_backup",
        "report_path": RESULTS / f"{name}.json",
    }


def prune(recipe, method, seed):
    paths = outputs(f"{recipe}_{method}_{seed}")
    if paths["report_path"].exists():
        return
    script(
        "prune_admm.py",
        recipe,
        seed=seed,
        method=method,
        model_path=dense(RECIPES[recipe], seed),
        **paths,
    )


def table():
    result = Table(title="MNIST test accuracy, %")
    for column in ("recipe", "method", "ratio", "seeds", "mean", "min", "live"):
        result.add_column(column, no_wrap=True)
    for recipe in RECIPES:
        for method in METHODS:
            paths = sorted(RESULTS.glob(f"{recipe}_{method}_*.json"))
            runs = [json.loads(path.read_text()) for path in paths]
            if runs:
                result.add_row(recipe, method, *figures(runs))
    return result


def figures(runs):
    """Ratio, seeds, mean, minimum and live units of runs of several seeds."""
    accuracy = [100 * run["test"] for run in runs]
    live = np.mean([list(run["live"].values()) for run in runs], axis=0)
    return (
        f"{runs[0]['ratio']:.1f}x",
        str(len(runs)),
        f"{np.mean(accuracy):.2f}",
        f"{min(accuracy):.2f}",
        " / ".join(f"{units:.0f}" for units in live),
    )


def lost(runs):
    """Points of test accuracy lost to the dense models."""
    mean = np.mean([100 * (run["dense_test"] - run["test"]) for run in runs])
    # No minus before a zero.
    return f"{round(mean, 2) + 0.0:.2f}"


def main(_):
    RESULTS.mkdir(exist_ok=True)
    os.makedirs(FLAGS.work_dir, exist_ok=True)
    if not FLAGS.print_only:
        for method in FLAGS.methods:
            for seed in FLAGS.seeds:
                for recipe in FLAGS.recipes:
                    prune(recipe, method, seed)
    Console().print(table())


if __name__ == "__main__":
    app.run(main)
