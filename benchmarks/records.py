"""Rates by curvature, few epochs and many, with gradual pruning and tfmot beside them.

    python benchmarks/records.py --data_path=mnist.npz --cifar_path=cifar10.npz

prunes each network to each ratio, each seed from its own dense training, by ADMM, by
gradual pruning with the same scores, schedules and epochs, and (for the cases that have
rates by hand) by tfmot with these; and prints the test accuracies. Results go to
`benchmarks/results`, one JSON a run; a run whose result is there is not made again,
and one that was killed goes on where it was. On a GPU, with Keras' JAX backend, several
runs fit side by side: `KERAS_BACKEND=jax python benchmarks/records.py --jobs=8`.
"""

import concurrent.futures
import json
import os
import subprocess
import sys

import mnist
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table


def parted(epochs):
    """Two thirds of the epochs for ADMM, and the rest to retrain."""
    admm = round(2 * epochs / 3)
    return {"admm_epochs": admm, "retrain_epochs": epochs - admm}


def constant(rho):
    """One rho from beginning to end."""
    if rho == "auto":
        return {"rho": rho}
    return {"rho": "cosine", "rho_start": rho, "rho_end": rho}


#: What is tried at one ratio, to see what depends on it.
RHOS = ("1e-04", "1e-03", "1e-02", "1e-01", "1e+00", "auto")
#: 130 epochs.
LONG = {"admm_epochs": 80, "retrain_epochs": 50}
#: 300 epochs, three rounds of ADMM.
THRICE = {"admm_epochs": 210, "retrain_epochs": 90, "rounds": 2}
#: rho given, and from a small one: more is exchanged on the way.
COSINE = {"rho": "cosine", "rho_start": 2e-3, "rho_end": 2e-2, "update_freq": 200}
SHIFT = {"augmentation": "shift"}
#: The outputs of the dense network beside the labels, at temperature 2.
TAUGHT = {"teacher_weight": 0.3}
#: All, and what is left out or added, one at a time; gradual pruning is without ADMM.
ABLATION = {
    "": {},
    "_magnitude": {"metric": "magnitude"},
    "_at_once": {"kept_start": 1},
    "_regrown": {"rounds": 1},
}
#: Layers of ResNet-8; tfmot gets the same rate for all.
RESNET8 = ["conv", "block2_shortcut", "block3_shortcut", "fc"]
RESNET8 += [f"block{i}_conv{j}" for i in (1, 2, 3) for j in (1, 2)]
#: Name: recipes of the dense training and of the pruning, its options, rates of tfmot.
CASES = {
    **{
        f"lenet5_71x_{epochs}": (
            "lenet5_dense",
            "lenet5_short",
            {"ratio": 71.157, **parted(epochs)},
            "conv1=0.8,conv2=0.92,fc1=0.991,fc2=0.93",
        )
        for epochs in (5, 10, 15, 30, 60)
    },
    **{
        f"{name}_10_{metric}_rho_{rho}": (
            f"{network}_dense",
            f"{network}_short",
            {"ratio": ratio, "metric": metric, **parted(10), **constant(rho)},
            None,
        )
        for name, network, ratio in (
            ("lenet5_71x", "lenet5", 71.157),
            ("resnet8_10x", "resnet8", 10),
        )
        for metric in ("curvature", "magnitude")
        for rho in RHOS
    },
    **{
        f"lenet5_169x_15{suffix}": (
            "lenet5_dense",
            "lenet5_short",
            {"ratio": 168.82, **options},
            None if suffix else "conv1=0.8,conv2=0.97,fc1=0.9965,fc2=0.94",
        )
        for suffix, options in ABLATION.items()
    },
    **{
        f"lenet300_{name}{suffix}": (
            "lenet300_dense",
            "lenet300_curvature",
            {**options, **augmented},
            None,
        )
        for name, options in (
            ("23x_50", {"ratio": 22.9}),
            ("60x_130", {"ratio": 60, **LONG}),
        )
        for suffix, augmented in (("", {}), ("_shift", SHIFT))
    },
    **{
        f"lenet5_{name}x_130_shift{suffix}": (
            "lenet5_dense",
            "lenet5_short",
            {"ratio": ratio, **SHIFT, **LONG, **options},
            None,
        )
        for name, ratio in (("71", 71.157), ("169", 168.82), ("350", 350))
        for suffix, options in (("", {}), ("_taught", TAUGHT))
    },
    "lenet5_350x_300_shift": (
        "lenet5_dense",
        "lenet5_short",
        {"ratio": 350, **SHIFT, **THRICE, **COSINE},
        None,
    ),
    **{
        f"lenet5_350x_130{suffix}": (
            "lenet5_dense",
            "lenet5_short",
            {"ratio": 350, **LONG, **options},
            None,
        )
        for suffix, options in (("", {}), ("_cosine", COSINE), ("_taught", TAUGHT))
    },
    **{
        f"resnet8_{ratio}x_30": (
            "resnet8_dense",
            "resnet8_short",
            {"ratio": ratio},
            ",".join(f"{name}={1 - 1 / ratio}" for name in RESNET8),
        )
        for ratio in (10, 20)
    },
}

FLAGS = flags.FLAGS
flags.DEFINE_list("cases", list(CASES), "Cases to run.")
flags.DEFINE_string("cifar_path", None, "cifar10.npz, in Keras' layout.")
flags.DEFINE_integer("jobs", 1, "Runs side by side.", lower_bound=1)
flags.FLAGS.set_default("methods", ["admm", "gradual", "tfmot"])


def data_path(recipe):
    return FLAGS.cifar_path if recipe.startswith("resnet") else FLAGS.data_path


def dense(recipe, seed):
    return mnist.dense(recipe, seed, data_path=data_path(recipe))


def wanted():
    """`(case, method, seed)` of all runs."""
    runs = [(c, m, s) for c in FLAGS.cases for s in FLAGS.seeds for m in FLAGS.methods]
    return [run for run in runs if not made(*run)]


def made(case, method, seed):
    """Whether its result is there, or it can't be made."""
    path = mnist.outputs(f"records_{case}_{method}_{seed}")["report_path"]
    return path.exists() or (method == "tfmot" and CASES[case][3] is None)


def run(case, method, seed):
    dense_recipe, recipe, options, rates = CASES[case]
    paths = mnist.outputs(f"records_{case}_{method}_{seed}")
    model_path = dense(dense_recipe, seed)
    given = {"seed": seed, "model_path": model_path, **options}
    given |= {"data_path": data_path(recipe)}
    if method == "tfmot":
        by_tfmot(recipe, rates, given, paths["report_path"])
    else:
        mnist.script("prune_admm.py", recipe, method=method, **given, **paths)


def by_tfmot(recipe, rates, given, report_path):
    """In a process of its own, since tfmot changes Keras for the whole process."""
    recipe = mnist.ROOT / "examples" / "recipes" / f"{recipe}.flags"
    given = given | {"sparsity": rates}
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
        # One after the other, since runs share them.
        for recipe, seed in sorted({(CASES[c][0], s) for c, _, s in wanted()}):
            dense(recipe, seed)
        with concurrent.futures.ThreadPoolExecutor(FLAGS.jobs) as pool:
            list(pool.map(lambda each: run(*each), wanted()))
    Console(width=110).print(table())


if __name__ == "__main__":
    app.run(main)
