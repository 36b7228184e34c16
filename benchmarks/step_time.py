"""Step time of ADMM pruning against plain `fit`, on LeNet-5.

    python benchmarks/step_time.py
    python benchmarks/step_time.py --set=channels --batch_size=32 --steps=20
    KERAS_BACKEND=jax python benchmarks/step_time.py

Plain and pruned fits take turns, so that a machine whose speed drifts favours
neither; the ratio is the median over pairs. `update` is the time of one Z and U
update, and `with updates` the ratio when one is made every 200 steps. `first s` is what
the first step takes, plain and pruned, most of it to trace it. Whole channels are those
of MobileNetV2, 0.35 wide.
"""

import pathlib
import sys
import time
import warnings

import keras
import numpy as np
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

import tf_admm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))

import common  # noqa: E402
import models  # noqa: E402

SPARSITY = {"conv1": 0.8, "conv2": 0.92, "fc1": 0.991, "fc2": 0.93}

#: With XLA or without; PyTorch's compiler takes no training step of Keras.
JIT = {"tensorflow": (False, True), "jax": (True,), "torch": (False,)}

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 15, "Pairs of fits.")
flags.DEFINE_integer("steps", 60, "Steps a fit.")
flags.DEFINE_enum(
    "set",
    "sparsity",
    ["sparsity", "curvature", "clusters", "channels"],
    "What is pruned to.",
)
flags.DEFINE_integer("batch_size", 128, "Images a step.")


def network():
    if FLAGS.set == "channels":
        options = {"weights": None, "classes": 10, "classifier_activation": None}
        return keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, **options)
    return models.lenet5((28, 28, 1), 10, dropout=0.3)


def build(jit_compile, wrap):
    keras.utils.set_random_seed(0)
    model = network()
    if wrap:
        sets = {k: tf_admm.constraints.Sparsity(s) for k, s in SPARSITY.items()}
        if FLAGS.set == "clusters":
            sets = tf_admm.constraints.Clusters(16)
        if FLAGS.set == "channels":
            sets = tf_admm.constraints.GroupSparsity(0.4)
        if FLAGS.set == "curvature":
            sets = tf_admm.constraints.GlobalSparsity(0.986, metric="curvature")
        model = tf_admm.ADMMModel(model, sets, rho=1e-3)
    model.compile("adam", common.loss(), metrics=["accuracy"], jit_compile=jit_compile)
    return model


def step_time(model, x, y):
    start = time.perf_counter()
    model.fit(x, y, batch_size=FLAGS.batch_size, epochs=1, verbose=0)
    return (time.perf_counter() - start) / FLAGS.steps


def compare(plain, pruned, x, y):
    """Times of the first steps, median times of a step, median ratio of pairs."""
    first = [first_time(model, x, y) for model in (plain, pruned)]
    pairs = []
    for i in range(FLAGS.rounds):
        order = (plain, pruned) if i % 2 else (pruned, plain)
        times = {id(model): step_time(model, x, y) for model in order}
        pairs.append((times[id(plain)], times[id(pruned)]))
    a, b = np.transpose(pairs)
    return *first, np.median(a), np.median(b), np.median(b / a)


def first_time(model, x, y):
    start = time.perf_counter()
    model.fit(x[: FLAGS.batch_size], y[: FLAGS.batch_size], verbose=0)
    return time.perf_counter() - start


def update_time(admm):
    times = []
    for _ in range(10):
        start = time.perf_counter()
        admm.dual_update()
        times.append(time.perf_counter() - start)
    return np.median(times)


def rows(jit_compile, x, y):
    plain, admm = build(jit_compile, False), build(jit_compile, True)
    admm.begin()
    for phase in ("admm", "retraining"):
        *first, a, b, ratio = compare(plain, admm, x, y)
        update = update_time(admm) if phase == "admm" else 0.0
        yield (
            "on" if jit_compile else "off",
            phase,
            " ".join(f"{seconds:.1f}" for seconds in first),
            f"{1e3 * a:.1f}",
            f"{1e3 * b:.1f}",
            f"{ratio:.2f}x",
            f"{1e3 * update:.0f}",
            f"{ratio + update / 200 / a:.2f}x",
        )
        admm.finalize()


def main(_):
    warnings.filterwarnings("ignore", message="`fit` ended in the ADMM phase")
    rng = np.random.default_rng(0)
    size = FLAGS.batch_size * FLAGS.steps
    x = rng.random((size, *network().input_shape[1:]), dtype="float32")
    y = rng.integers(0, 10, size)
    table = Table(
        "jit", "phase", "first s", "plain ms", "pruned ms", "ratio", "update ms",
        "with updates", title=f"Time of a step, {keras.config.backend()}",
    )  # fmt: skip
    for jit_compile in JIT[keras.config.backend()]:
        for row in rows(jit_compile, x, y):
            table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    app.run(main)
