"""ADMM on a GPU through Keras on JAX: a whole run, the cost of a step, projections.

    KERAS_BACKEND=jax python benchmarks/gpu.py --data_path=mnist.npz

trains LeNet-5 on MNIST, prunes it 71.2x by curvature and retrains it in 15 epochs, each
by the committed recipes; times steps of LeNet-5 and of ResNet-50, plain and pruned fits
taking turns; and projections, in copies of the tensor. Results go to
`benchmarks/results/gpu.json` with the name of the device. It runs on a CPU, too.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import warnings

import keras
import mnist
import numpy as np
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

import tf_admm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))

import models  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_list("sizes", ["25000000", "100000000"], "Entries of the projections.")
flags.DEFINE_list("metrics", ["magnitude", "curvature"], "Metrics that are timed.")
flags.DEFINE_integer("steps", 100, "Steps of a timed fit.")
flags.DEFINE_integer("rounds", 9, "Pairs of timed fits.")
flags.DEFINE_list("networks", ["lenet5", "resnet50"], "Networks whose steps are timed.")


def device():
    """The name of the device that JAX runs on."""
    import jax

    return jax.devices()[0].device_kind


def whole():
    """LeNet-5, dense and then 71.2x: test accuracy and seconds of both."""
    work = pathlib.Path(FLAGS.work_dir)
    work.mkdir(exist_ok=True)
    dense, report = work / "gpu_dense.keras", work / "gpu_lenet5.json"
    start = time.time()
    mnist.script("train_dense.py", "lenet5_dense", save_path=dense)
    trained = time.time()
    mnist.script(
        "prune_admm.py", "lenet5_short", ratio=71.157, model_path=dense,
        save_path=work / "gpu_sparse.keras", report_path=report,
    )  # fmt: skip
    found = json.loads(report.read_text())
    kept = ("ratio", "test", "dense_test", "live")
    return {
        **{key: found[key] for key in kept},
        "seconds_dense": round(trained - start, 1),
        "seconds_pruned": round(time.time() - trained, 1),
    }


def network(name):
    """A model, and the shape of a batch."""
    keras.utils.set_random_seed(0)
    if name == "lenet5":
        return models.lenet5((28, 28, 1), 10, dropout=0.3), (128, 28, 28, 1)
    model = keras.applications.ResNet50(
        weights=None, classes=10, classifier_activation=None, input_shape=(128, 128, 3)
    )
    return model, (64, 128, 128, 3)


def compiled(name, constraints):
    model, shape = network(name)
    if constraints is not None:
        model = tf_admm.ADMMModel(model, constraints, rho=1e-3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    return model, shape


def step_time(model, batch):
    """Seconds of a step, over a fit of many on one batch that is on the device."""
    data = OneBatch(batch, FLAGS.steps)
    start = time.perf_counter()
    model.fit(data, epochs=1, verbose=0)
    return (time.perf_counter() - start) / FLAGS.steps


class OneBatch(keras.utils.PyDataset):
    """The same batch again and again."""

    def __init__(self, batch, steps):
        super().__init__()
        self._batch, self._steps = batch, steps

    def __len__(self):
        return self._steps

    def __getitem__(self, index):
        return self._batch


def overhead(name):
    """Median time of a plain step, and median ratios of pruned ones, by metric."""
    sets = {
        "plain": None,
        "magnitude": tf_admm.constraints.Sparsity(0.9),
        "curvature": tf_admm.constraints.GlobalSparsity(0.9, metric="curvature"),
    }
    sets = {key: sets[key] for key in ("plain", *FLAGS.metrics)}
    fits = {key: compiled(name, constraints) for key, constraints in sets.items()}
    shape = fits["plain"][1]
    rng = np.random.default_rng(0)
    batch = rng.random(shape, dtype="float32"), rng.integers(0, 10, shape[0])
    for key, (model, _) in fits.items():
        if key != "plain":
            model.begin()
        step_time(model, batch)
    turns = [
        {key: step_time(model, batch) for key, (model, _) in fits.items()}
        for _ in range(FLAGS.rounds)
    ]
    found = {
        key: float(np.median([turn[key] / turn["plain"] for turn in turns]))
        for key in fits
    }
    found["ms"] = 1e3 * float(np.median([turn["plain"] for turn in turns]))
    model = fits[FLAGS.metrics[-1]][0]
    found["update_ms"] = 1e3 * update_time(model)
    return found


def update_time(admm):
    """Seconds of a Z and U update of all kernels."""
    admm.dual_update()
    start = time.perf_counter()
    for _ in range(5):
        admm.dual_update()
    return (time.perf_counter() - start) / 5


def main(_):
    warnings.filterwarnings("ignore", message="`fit` ended in the ADMM phase")
    found = {"device": device(), "backend": keras.config.backend()}
    if FLAGS.data_path:
        found["run"] = whole()
    for name in FLAGS.networks:
        found[name] = overhead(name)
        # What is there is not lost if the time is up.
        (mnist.RESULTS / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
        Console(width=100).print(table(found))
    if FLAGS.sizes:
        projections = pathlib.Path(__file__).with_name("projections.py")
        sizes = f"--sizes={','.join(FLAGS.sizes)}"
        subprocess.run([sys.executable, str(projections), sizes], check=True)


def table(found):
    made = Table(title=f"Steps on {found['device']}, Keras on {found['backend']}")
    for column in ("network", "plain ms", *FLAGS.metrics, "update ms"):
        made.add_column(column, justify="right")
    for name in filter(found.get, FLAGS.networks):
        row = found[name]
        ratios = [f"{row[metric]:.3f}x" for metric in FLAGS.metrics]
        made.add_row(name, f"{row['ms']:.2f}", *ratios, f"{row['update_ms']:.1f}")
    if "run" in found:
        run = found["run"]
        made.caption = (
            f"LeNet-5 {run['ratio']:.1f}x: {run['test']:.2%} test accuracy (dense "
            f"{run['dense_test']:.2%}), {run['seconds_pruned']} s"
        )
    return made


if __name__ == "__main__":
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    app.run(main)
