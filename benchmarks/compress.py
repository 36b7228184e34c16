"""One call of `tf_admm.compress`, on LeNet-5 and on ResNet-8.

    python benchmarks/compress.py --data_path=mnist.npz --cifar_path=cifar10.npz

takes the dense network of seed 0 and compresses it with nothing but a goal: LeNet-5 as
far as accuracy falls by no more than 0.001 on the validation data, from the images as
they are and from a dataset that shifts them by a pixel at random, there by single
weights alone, too; ResNet-8 to half of its multiplications, from crops and flips. The
test data are read once, at the end. Results go to `benchmarks/results`; one that is
there is not made again, and a run that was killed goes on where it was.
"""

import json
import os
import pathlib
import sys

import mnist
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))

import datasets  # noqa: E402

#: Name: recipe of the dense network, flag of its data, augmentation, goal.
CASES = {
    "lenet5": ("lenet5_dense", "data_path", "none", {"max_drop": 0.001}),
    "lenet5_shift": ("lenet5_dense", "data_path", "shift", {"max_drop": 0.001}),
    "lenet5_shift_weights": (
        "lenet5_dense",
        "data_path",
        "shift",
        {"max_drop": 0.001, "structure": "weights"},
    ),
    "resnet8": ("resnet8_dense", "cifar_path", "crop_and_flip", {"macs": 0.5}),
}
#: Rows of a batch of a dataset.
BATCH = 128

FLAGS = flags.FLAGS
flags.DEFINE_string("cifar_path", None, "cifar10.npz, in Keras' layout.")
flags.DEFINE_list("cases", list(CASES), "Cases to run.")


def run(case):
    import keras

    import tf_admm

    recipe, path, augmentation, goal = CASES[case]
    path = FLAGS[path].value
    dense = mnist.dense(recipe, 0, data_path=path)
    model = keras.saving.load_model(dense, compile=False)
    model.compile(
        keras.optimizers.Adam(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    data = datasets.load("", path)
    output = os.path.join(FLAGS.work_dir, f"compress_{case}")
    _, report = tf_admm.compress(
        model,
        trained_on(data.train, augmentation),
        validation_data=data.validation,
        test_data=data.test,
        output=output,
        **goal,
    )
    record = report.record()
    record["files"] = {k: os.path.basename(v) for k, v in record["files"].items()}
    result(case).write_text(json.dumps(record, indent=1) + "\n")


class Fresh(datasets.Batches):
    """Batches that are never twice the same."""

    def on_epoch_end(self):
        self.begin(self.epoch + 1)


def trained_on(train, augmentation):
    """The arrays, or batches of them that are never twice the same."""
    if augmentation == "none":
        return train
    return Fresh(*train, BATCH, 0, datasets.AUGMENTATIONS[augmentation])


def result(case):
    return mnist.RESULTS / f"compress_{case}.json"


def table():
    made = Table(title="compress: the file that it chose, beside the dense one")
    for column in ("network", "goal", "left", "file", "bytes", "smaller", "faster"):
        made.add_column(column, justify="right")
    for column in ("test, %", "dense, %", "minutes"):
        made.add_column(column, justify="right")
    for case in CASES:
        if result(case).exists():
            made.add_row(case, *cells(json.loads(result(case).read_text())))
    return made


def cells(record):
    dense = record["variants"][0]
    chosen = next(v for v in record["variants"] if v["name"] == record["chosen"])
    return (
        record["goal"],
        f"{record['share']:.2%}",
        chosen["name"],
        f"{chosen['bytes']:,}",
        f"{dense['bytes'] / chosen['bytes']:.1f}x",
        f"{chosen['speedup']:.2f}x",
        f"{100 * record['test']['chosen']:.2f}",
        f"{100 * record['test']['dense']:.2f}",
        f"{record['minutes']:.0f}",
    )


def main(_):
    mnist.RESULTS.mkdir(exist_ok=True)
    os.makedirs(FLAGS.work_dir, exist_ok=True)
    for case in FLAGS.cases:
        if not FLAGS.print_only and not result(case).exists():
            run(case)
    Console(width=120).print(table())


if __name__ == "__main__":
    app.run(main)
