"""Trainings on several devices, or in several processes, each a process of its own.

    python distributed.py OUT KIND... [--all]
    python distributed.py OUT KIND --backup FOLDER [--kill EPOCH]
    python distributed.py OUT KIND ... --port PORT --process NUMBER --of PROCESSES

KIND is a function of this file. `--all` adds kinds of sets, and evaluations. What a
training ends with goes to `OUT/KIND.npz`; of several processes, to
`OUT/KIND_NUMBER.npz`. One that was killed at the end of an epoch goes on from the same
FOLDER.
"""

import argparse
import contextlib
import os
import pathlib
import signal

import keras
import numpy as np
from keras import distribution
from keras import layers

import tf_admm
from tf_admm import constraints

ADMM_EPOCHS, EPOCHS, BATCH, ROWS = 2, 4, 16, 64


def one():
    """A single device."""


def data():
    # Each process brings its own part.
    return distribution.DataParallel(auto_shard_dataset=False)


def model(shape=(2, 2)):
    """Kernels in two: along outputs, along inputs, and that of a convolution."""
    mesh = distribution.DeviceMesh(shape, ("batch", "model"))
    layouts = distribution.LayoutMap(mesh)
    layouts["conv/kernel"] = (None, None, None, "model")
    layouts["wide/kernel"] = (None, "model")
    layouts["(deep|levels)/kernel"] = ("model", None)
    return distribution.ModelParallel(layout_map=layouts, auto_shard_dataset=False)


def across():
    """The same on two devices, so that no process of two has all of a kernel."""
    return model((1, 2))


def build(everything):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 5, 4))
    # Before a normalisation a bias is rounding noise, and so would be its share.
    x = layers.Conv2D(8, 3, use_bias=False, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Flatten()(layers.Activation("tanh")(x))
    x = layers.Dense(16, "tanh", name="wide")(x)
    x = layers.Dense(16, "tanh", name="deep")(layers.Dropout(0.1)(x))
    x = layers.Dense(12, "tanh", name="levels")(x)
    net = keras.Model(inputs, layers.Dense(4, name="head")(x))
    together = constraints.GlobalSparsity(0.7, metric="curvature")
    sets = {"conv": constraints.GroupSparsity(0.5), "wide|deep": together}
    if everything:
        sets["levels"] = constraints.Levels.uniform(3)
        sets["head"] = constraints.FilterSparsity(0.5)
    admm = tf_admm.ADMMModel(
        net,
        sets,
        tf_admm.schedules.Cosine(0.1, 1.0),
        tf_admm.schedules.Cubic(1.3),
    )
    # Adam would make +-1 of a gradient that is rounding noise.
    admm.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return admm


def rows(process, processes):
    """This process' part of each batch of the data."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 5, 5, 4)).astype("float32")
    y = rng.normal(size=(ROWS, 4)).astype("float32")
    size = BATCH // processes
    return [
        a.reshape(-1, processes, size, *a.shape[1:])[:, process].reshape(
            -1, *a.shape[1:]
        )
        for a in (x, y)
    ]


class Backup(keras.callbacks.BackupAndRestore):
    """All processes read it, and the first writes it, as in the guide."""

    def __init__(self, folder, is_first):
        super().__init__(folder, double_checkpoint=True)
        self.is_first = is_first

    def on_epoch_end(self, epoch, logs=None):
        if self.is_first:
            super().on_epoch_end(epoch, logs)
        else:
            self.model.save_weights("written by the first.weights.h5")

    def on_train_end(self, logs=None):
        if self.is_first:
            super().on_train_end(logs)


class Kill(keras.callbacks.Callback):
    """SIGKILL at the end of an epoch, as a power cut would."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGKILL)


class Layouts(keras.callbacks.Callback):
    """What a kernel's slot keeps is sharded as the kernel is, all along."""

    def on_epoch_begin(self, epoch, logs=None):
        for slot in self.model._slots:
            for variable in slot.variables:
                sharding, ndim = variable.value.sharding, len(variable.shape)
                assert sharding.is_equivalent_to(slot.w.value.sharding, ndim), (
                    slot.kernel.path,
                    variable.name,
                )

    on_epoch_end = on_epoch_begin


def check_shrunk(net):
    """The small model has a number of units that no two devices can share."""
    kernel, bias = net.get_layer("wide").get_weights()
    read = net.get_layer("deep").get_weights()[0]
    (live,) = np.nonzero((kernel != 0).any(axis=0) & (read != 0).any(axis=1))
    dead = live[: 1 + len(live) % 2]
    kernel[:, dead], bias[dead] = 0.0, -1.0
    net.get_layer("wide").set_weights([kernel, bias])
    small, report = tf_admm.shrink(net, verbose=0)
    units = small.get_layer("wide").units
    assert units == len(live) - len(dead) and units % 2, (units, live)
    assert report.max_difference < 1e-5


def train(kind, given):
    spread = globals()[kind]()
    with spread.scope() if spread else contextlib.nullcontext():
        admm = build(given.all)
        updates = tf_admm.ADMMCallback(ADMM_EPOCHS, 2, evaluate_cut=given.all)
        callbacks = [updates, Layouts()]
        if given.backup:
            callbacks.append(Backup(given.backup, given.process == 0))
        callbacks.append(Kill(given.kill))
        parts = given.of if kind in ("data", "model") else 1
        part = rows(given.process if parts > 1 else 0, parts)
        record = admm.fit(
            *part,
            batch_size=BATCH // parts,
            epochs=EPOCHS,
            shuffle=False,
            verbose=0,
            validation_data=tuple(part) if given.all else None,
            callbacks=callbacks,
        )
        assert admm.phase == "retraining"
        with admm.readable():
            found = {
                f"{i} {v.name}": keras.ops.convert_to_numpy(v)
                for i, v in enumerate(admm.variables + admm.optimizer.variables)
            }
        if kind == "model" and given.of == 1:
            check_shrunk(admm.model)
    logs = {f"log {name}": np.array(v) for name, v in record.history.items()}
    return {**found, **logs}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("kinds", nargs="+")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--backup")
    parser.add_argument("--kill", type=int, default=-1)
    parser.add_argument("--port")
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    given = parser.parse_args()
    if given.port:
        distribution.initialize(f"127.0.0.1:{given.port}", given.of, given.process)
    for kind in given.kinds:
        ending = f"_{given.process}" if given.port else ""
        np.savez(given.out / f"{kind}{ending}.npz", **train(kind, given))


if __name__ == "__main__":
    main()
