"""Fits that Keras takes, and what is left of them: on any backend."""

import itertools

import keras
import numpy as np
import pytest
from battery import BACKEND
from battery import JIT
from battery import policy

import tf_admm
from tf_admm import constraints as sets

slow = pytest.mark.slow
# What XLA makes for JAX takes ten times as long as these fits.
pytestmark = [slow] if BACKEND == "jax" else []
#: Of `compile`. So few steps are made sooner than TensorFlow has traced one.
HOW = {"jit_compile": JIT, "run_eagerly": BACKEND == "tensorflow"}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 12)).astype("float32")
Y = X @ RNG.normal(size=(12, 4)).astype("float32")


def mlp(dicts=False, dropout=0.3):
    """Arrays go in and out, or dicts of them."""
    keras.utils.set_random_seed(0)
    given = keras.Input((12,), name="x")
    x = keras.layers.Dense(16, "relu", name="hidden")(given)
    x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.Dense(4, name="head")(x)
    return keras.Model(*([{"x": given}, {"y": x}] if dicts else [given, x]))


def compiled(model, optimizer="adam", **kwargs):
    admm = tf_admm.ADMMModel(model, **({"sparsity": 0.8} | kwargs))
    admm.compile(optimizer, "mse", **HOW)
    return admm


def fit(admm, epochs, admm_epochs=2, x=X, y=Y, evaluate_cut=False, **kwargs):
    ours = tf_admm.ADMMCallback(admm_epochs, evaluate_cut=evaluate_cut)
    return admm.fit(x, y, 20, epochs, verbose=0, callbacks=[ours], **kwargs).history


def kernels(admm):
    layers = admm.model.get_layer("hidden"), admm.model.get_layer("head")
    return [np.array(keras.ops.convert_to_numpy(layer.kernel)) for layer in layers]


# Runs of what isn't registered.


def worth(v, f):
    return f


class Killed(Exception):
    pass


@slow
def test_a_killed_run_of_an_unregistered_metric_goes_on(tmp_path):
    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise Killed

    def run(folder, *others):
        admm = compiled(
            mlp(), sparsity=None, constraints=sets.Sparsity(0.5, metric=worth)
        )
        backup = keras.callbacks.BackupAndRestore(folder, double_checkpoint=True)
        ours = tf_admm.ADMMCallback(3)
        callbacks = [ours, backup, *others]
        admm.fit(X, Y, 20, 4, shuffle=False, verbose=0, callbacks=callbacks)
        return kernels(admm)

    with pytest.raises(Killed):
        run(tmp_path / "killed", Kill())
    for a, b in zip(run(tmp_path / "killed"), run(tmp_path / "undisturbed")):
        np.testing.assert_array_equal(a, b)
