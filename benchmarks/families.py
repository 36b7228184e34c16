"""Every family of sets on MNIST's LeNet-5.

    python benchmarks/families.py --data_path=mnist.npz --work_dir=runs

prunes the dense networks of `mnist.py` by the recipe `lenet5_sets` with each set
of `examples/recipes/sets`, for each seed, and prints what it cost in test
accuracy. Results go to `benchmarks/results`, one JSON a run; a run whose result is
there is not made again, and one that was killed goes on where it was.
"""

import json
import os

import mnist
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

SETS = mnist.ROOT / "examples" / "recipes" / "sets"
NAMES = sorted(path.stem for path in SETS.glob("*.json"))

FLAGS = flags.FLAGS
flags.DEFINE_list("sets", NAMES, "Sets to run.")


def prune(name, seed):
    paths = mnist.outputs(f"sets_{name}_{seed}")
    if paths["report_path"].exists():
        return
    mnist.script(
        "prune_admm.py",
        "lenet5_sets",
        seed=seed,
        constraints=SETS / f"{name}.json",
        model_path=mnist.dense("lenet5_dense", seed),
        **paths,
    )


def table():
    result = Table(title="LeNet-5 on MNIST, test accuracy, %")
    for column in ("set", "ratio", "seeds", "mean", "min", "live", "lost"):
        result.add_column(column, no_wrap=True)
    for name in NAMES:
        paths = sorted(mnist.RESULTS.glob(f"sets_{name}_?.json"))
        runs = [json.loads(path.read_text()) for path in paths]
        if runs:
            result.add_row(name, *mnist.figures(runs), mnist.lost(runs))
    return result


def main(_):
    mnist.RESULTS.mkdir(exist_ok=True)
    os.makedirs(FLAGS.work_dir, exist_ok=True)
    if not FLAGS.print_only:
        for seed in FLAGS.seeds:
            for name in FLAGS.sets:
                prune(name, seed)
    Console(width=100).print(table())


if __name__ == "__main__":
    app.run(main)
