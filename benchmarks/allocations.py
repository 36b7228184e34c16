"""One budget in place of rates by hand, shared out by `allocate`.

    python benchmarks/allocations.py --data_path=mnist.npz --cifar_path=cifar10.npz

prunes LeNet-5 by its 71.2x recipe with the rates that `allocate` finds for that
ratio, and ResNet-8 at 90 % by uniform rates and by sensitivity, each seed from its
own dense training, and prints the test accuracies. Results go to
`benchmarks/results`, one JSON a run; a run whose result is there is not made again,
and one that was killed goes on where it was.
"""

import json
import os

import mnist
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

#: Name: recipes of the dense training and of the pruning, method, ratio, data.
CASES = {
    "lenet5_71x": ("lenet5_dense", "lenet5_71x", "sensitivity", 71.157, "data_path"),
    "resnet8_uniform": ("resnet8_dense", "resnet8", "uniform", 10, "cifar_path"),
    "resnet8_sensitivity": (
        "resnet8_dense",
        "resnet8",
        "sensitivity",
        10,
        "cifar_path",
    ),
}

FLAGS = flags.FLAGS
flags.DEFINE_string("cifar_path", None, "cifar10.npz, in Keras' layout.")
flags.DEFINE_list("cases", list(CASES), "Cases to run.")


def prune(case, seed):
    name = f"allocated_{case}_{seed}"
    paths = mnist.outputs(name)
    if paths["report_path"].exists():
        return
    dense_recipe, recipe, method, ratio, data = CASES[case]
    data_path = FLAGS[data].value
    allocation = os.path.join(FLAGS.work_dir, f"{name}.json")
    model_path = mnist.dense(dense_recipe, seed, data_path=data_path)
    mnist.script(
        "allocate.py",
        model_path=model_path,
        allocation_path=allocation,
        ratio=ratio,
        method=method,
        data_path=data_path,
    )
    mnist.script(
        "prune_admm.py",
        recipe,
        seed=seed,
        constraints=allocation,
        model_path=model_path,
        data_path=data_path,
        **paths,
    )


def table():
    result = Table(title="Rates by allocate, test accuracy, %")
    for column in ("case", "ratio", "seeds", "mean", "min", "lost"):
        result.add_column(column, no_wrap=True)
    for case in CASES:
        paths = sorted(mnist.RESULTS.glob(f"allocated_{case}_?.json"))
        runs = [json.loads(path.read_text()) for path in paths]
        if runs:
            *figures, _ = mnist.figures(runs)
            result.add_row(case, *figures, mnist.lost(runs))
    return result


def main(_):
    mnist.RESULTS.mkdir(exist_ok=True)
    os.makedirs(FLAGS.work_dir, exist_ok=True)
    if not FLAGS.print_only:
        for seed in FLAGS.seeds:
            for case in FLAGS.cases:
                prune(case, seed)
    Console(width=100).print(table())


if __name__ == "__main__":
    app.run(main)
