"""Memory and time of ADMM on a large dense stack, beside plain `fit`.

    python benchmarks/memory.py
    KERAS_BACKEND=jax python benchmarks/memory.py --weights=100000000

Each fit runs in a process of its own, and the peak of its resident memory is taken over
what the process held before it built the model. ADMM begins, trains, updates Z and U,
is cut, and retrains.
"""

import json
import os
import resource
import subprocess
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

FLAGS = flags.FLAGS
flags.DEFINE_integer("weights", 26_000_000, "Weights of the stack, about.")
flags.DEFINE_integer("layers", 8, "Dense layers of the stack.")
flags.DEFINE_integer("batch_size", 64, "Rows of a batch.")
flags.DEFINE_integer("steps", 10, "Steps of a fit.")
flags.DEFINE_enum(
    "optimizer", "adam", ["adam", "sgd"], "Optimizer; SGD has no moments."
)
flags.DEFINE_string("policy", "float32", "Dtype policy.")
flags.DEFINE_list("fits", ["plain", "admm"], "Fits to measure.")
flags.DEFINE_string("fit", None, "The fit that this process is for.")


def stack():
    """A stack of square dense layers."""
    width = round((FLAGS.weights / FLAGS.layers) ** 0.5)
    keras.config.set_dtype_policy(FLAGS.policy)
    return keras.Sequential(
        [
            keras.Input((width,)),
            *(keras.layers.Dense(width, "relu") for _ in range(FLAGS.layers)),
        ]
    )


def measured(name):
    """Peak bytes over those before, bytes of the weights, and seconds of a step."""
    warnings.filterwarnings("ignore", message="`fit` ended in the ADMM phase")
    before = peak()
    model = stack()
    count = model.count_params()
    rng = np.random.default_rng(0)
    width = model.input_shape[-1]
    x = rng.random((FLAGS.batch_size * FLAGS.steps, width), dtype="float32")
    if name == "admm":
        model = tf_admm.ADMMModel(model, tf_admm.constraints.Sparsity(0.9), rho=1e-3)
    optimizer = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    model.compile(optimizer[FLAGS.optimizer](1e-5), "mse", jit_compile=jit())
    fit(model, x)
    found = {"weights": count}
    if name == "admm":
        model.begin()
    found["step"] = min(fit(model, x) for _ in range(3))
    if name == "admm":
        start = time.perf_counter()
        model.dual_update()
        found["update"] = time.perf_counter() - start
        model.finalize()
        fit(model, x)
    return {**found, "peak": peak() - before}


def jit():
    return keras.config.backend() == "jax"


def fit(model, x):
    """Seconds of a step."""
    start = time.perf_counter()
    model.fit(x, x, batch_size=FLAGS.batch_size, verbose=0)
    return (time.perf_counter() - start) / FLAGS.steps


def peak():
    """The most memory that this process held so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_its_own_process(name):
    command = [sys.executable, *sys.argv, f"--fit={name}"]
    # Without these, the C library keeps what is freed, by rules that change as it runs.
    given_back = {f"MALLOC_{name}_THRESHOLD_": "262144" for name in ("MMAP", "TRIM")}
    found = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | given_back,
    )
    return json.loads(found.stdout.splitlines()[-1])


def main(_):
    if FLAGS.fit:
        print(json.dumps(measured(FLAGS.fit)))
        return
    found = {name: in_its_own_process(name) for name in FLAGS.fits}
    table = Table(
        "fit", "weights", "peak, MB", "bytes a weight", "step, ms",
        title=f"Dense stack, {FLAGS.optimizer}, {FLAGS.policy}, "
        f"{keras.config.backend()}",
    )  # fmt: skip
    for name, row in found.items():
        table.add_row(
            name,
            f"{row['weights']:,}",
            f"{row['peak'] / 1e6:,.0f}",
            f"{row['peak'] / row['weights']:.1f}",
            f"{1e3 * row['step']:.0f}",
        )
    if len(found) == 2:
        plain, admm = found["plain"], found["admm"]
        table.caption = (
            f"{admm['peak'] / plain['peak']:.2f}x the memory, "
            f"{admm['step'] / plain['step']:.2f}x the time; an update of Z and U "
            f"takes {admm['update'] / admm['step']:.1f} steps"
        )
    Console(width=90).print(table)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app.run(main)
