"""A training that is killed where it is told to, run as a process of its own.

    python resumable.py OUT BACKUP_DIR ORDER UPDATE_FREQ [EPOCH BATCH]

Started again with the same backup folder, without EPOCH and BATCH, it goes on.
BATCH -1 is the end of the epoch, just after the backup is written. UPDATE_FREQ
"unknown" is "auto", with data of a length that Keras can't know.
"""

import os
import pathlib
import signal
import sys

import keras
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))

import datasets  # noqa: E402
import tf_admm  # noqa: E402

ADMM_EPOCHS, EPOCHS = 3, 6


class Kill(keras.callbacks.Callback):
    """SIGKILL, as a power cut would."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.at = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._maybe(batch)

    def on_epoch_end(self, epoch, logs=None):
        self._maybe(-1)

    def _maybe(self, batch):
        if (self.epoch, batch) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def build(update_freq):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Input((12,)),
            keras.layers.Dense(32, activation="relu", name="fc1"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(16, activation="swish", name="middle"),
            keras.layers.Dense(5, name="fc2"),
        ]
    )
    sets, found = tf_admm.constraints, update_freq in ("auto", "unknown")
    admm = tf_admm.ADMMModel(
        model,
        {
            "fc1": sets.Sparsity(0.8, metric="curvature"),
            "middle": sets.GroupSparsity(0.5),
            "fc2": sets.Sparsity(0.6),
        },
        "auto" if found else tf_admm.schedules.Cosine(1e-3, 1e-1),
        tf_admm.schedules.Cubic(3.0),
        regrowth=1.0,
    )
    # What XLA makes for TensorFlow takes longer than the run.
    jit_compile = keras.config.backend() == "jax"
    admm.compile("adam", "mse", jit_compile=jit_compile)
    return admm


def callbacks(backup_dir, order, update_freq, kill):
    update_freq = "auto" if update_freq == "unknown" else update_freq
    admm = tf_admm.ADMMCallback(ADMM_EPOCHS, update_freq, rounds=1)
    backup = keras.callbacks.BackupAndRestore(backup_dir, double_checkpoint=True)
    if order == "backup_first":
        return [backup, *kill, admm]
    return [admm, backup, *kill]


def of_unknown_length(x, y):
    """A dataset of which nobody knows how long it is."""
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((x, y.astype("float32"))).batch(10)
    return data.filter(lambda x, y: True)


def main(out, backup_dir, order, update_freq, *at):
    update_freq = int(update_freq) if update_freq.isdigit() else update_freq
    kill = [Kill(*map(int, at))] if at else []
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 12)).astype("float32")
    y = x @ rng.normal(size=(12, 5)).astype("float32")
    train = datasets.Shuffled(x, y, batch_size=10, seed=3)
    admm = build(update_freq)
    data = of_unknown_length(x, y) if update_freq == "unknown" else train.batches
    admm.fit(
        data,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[train, *callbacks(backup_dir, order, update_freq, kill)],
    )
    variables = admm.weights + admm.optimizer.variables
    np.savez(out, *[keras.ops.convert_to_numpy(v) for v in variables])


if __name__ == "__main__":
    main(*sys.argv[1:])
