"""A run that is written on one backend, to go on with on another; and a recipe.

    KERAS_BACKEND=jax python checkpointing.py FOLDER

writes `run.keras`, `run.weights.h5` and `values.npz` from within the ADMM phase.
"""

import pathlib
import sys

import keras
import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "examples"))

import datasets  # noqa: E402
import tf_admm  # noqa: E402
from tf_admm import constraints as sets  # noqa: E402

ADMM_EPOCHS, EPOCHS, SAVED = 3, 4, 1
#: Nonzeros of the layers: 70 % of 12 x 16 are zero; of 16 x 6, half of the columns.
KEPT = [192 - round(0.7 * 192), 48]
JIT = keras.config.backend() == "jax"


def build():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(16, "relu", name="a"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(6, name="b"),
        ]
    )
    admm = tf_admm.ADMMModel(
        model,
        {"a": sets.Sparsity(0.7, metric="curvature"), "b": sets.FilterSparsity(0.5)},
        rho=0.1,
    )
    admm.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=JIT)
    return admm


def fit(admm, callbacks=(), initial_epoch=0):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 12)), rng.normal(size=(60, 6))
    ours = tf_admm.ADMMCallback(ADMM_EPOCHS, 4)
    return admm.fit(
        x.astype("float32"),
        y.astype("float32"),
        batch_size=20,
        epochs=EPOCHS,
        initial_epoch=initial_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[ours, *callbacks],
    )


def state(admm):
    """All values, seeds of dropout included, but those of the optimizer."""
    return [np.array(keras.ops.convert_to_numpy(v)) for v in admm.variables]


class Write(keras.callbacks.Callback):
    def __init__(self, folder):
        super().__init__()
        self.folder = pathlib.Path(folder)

    def on_epoch_end(self, epoch, logs=None):
        if epoch == SAVED:
            self.model.save(self.folder / "run.keras")
            self.model.save_weights(self.folder / "run.weights.h5")
            np.savez(self.folder / "values.npz", *state(self.model))


def recipe(seed):
    """A pruned model of scikit-learn's digits, and its test accuracy."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(32, "relu", name="fc1"),
            keras.layers.Dense(10, name="fc2"),
        ]
    )
    admm = tf_admm.ADMMModel(
        model, {"fc1": sets.Sparsity(0.9), "fc2": sets.Sparsity(0.5)}
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    admm.compile(
        keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"], jit_compile=JIT
    )
    data = datasets.load("digits")
    train = datasets.Shuffled(*data.train, batch_size=64, seed=seed)
    admm.fit(
        train.batches,
        epochs=12,
        shuffle=False,
        verbose=0,
        callbacks=[train, tf_admm.ADMMCallback(8)],
    )
    return model, admm.evaluate(*data.test, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    fit(build(), [Write(sys.argv[1])])
