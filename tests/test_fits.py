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


# An optimizer that makes NaN of gradients that are zero.


@pytest.mark.parametrize("second", [False, pytest.param(True, marks=slow)])
def test_nan_of_retraining_names_the_kernel(second):
    """Keras' Adafactor divides 0 by 0 where rows and columns of gradients are 0.0."""
    admm = compiled(mlp(), keras.optimizers.Adafactor(0.01), sparsity=0.95)
    fit(admm, 2)
    before = kernels(admm)
    with pytest.raises(ValueError, match="'hidden/kernel' to be finite in retraining"):
        # With or without the callback.
        admm.fit(X, Y, verbose=0) if second else fit(admm, 6, initial_epoch=2)
    assert np.isnan(kernels(admm)[0]).any()
    for old, new in zip(before, kernels(admm)):
        assert np.all(new[old == 0.0] == 0.0)


# What the cut is evaluated on.


def endless():
    return ((X[i : i + 10], Y[i : i + 10]) for i in itertools.cycle((0, 10)))


#: Whether models take dicts, arguments of `fit`, and what they are validated on.
VALIDATION = {
    "without end": (
        False,
        {"validation_data": endless(), "validation_steps": 2},
        (X[:20], Y[:20]),
    ),
    "dicts": (True, {"validation_data": ({"x": X}, {"y": Y})}, (X, Y)),
    "a list": (False, {"validation_data": [X, Y]}, (X, Y)),
}


@pytest.mark.parametrize("dicts, given, data", VALIDATION.values(), ids=VALIDATION)
def test_the_cut_is_evaluated_on_what_keras_validates_on(dicts, given, data):
    x, y = ({"x": X}, {"y": Y}) if dicts else (X, Y)
    # On PyTorch validation moves what dropout and shuffling draw from.
    how = {"evaluate_cut": True, "shuffle": False}
    found = fit(compiled(mlp(dicts, 0.0)), 3, x=x, y=y, **given, **how)
    plain = fit(compiled(mlp(dropout=0.0)), 3, validation_data=data, **how)
    assert len(plain["val_loss_cut"]) == 3
    for key in ("val_loss", "val_loss_cut"):
        np.testing.assert_allclose(found[key], plain[key], rtol=1e-5)


def test_evaluating_the_cut_leaves_no_trace():
    """Not in dropout, either: PyTorch has one generator for it and for the data."""
    one, other = compiled(mlp()), compiled(mlp())
    keras.utils.set_random_seed(1)
    fit(one, 3, validation_data=(X, Y))
    keras.utils.set_random_seed(1)
    fit(other, 3, validation_data=(X, Y), evaluate_cut=True)
    for a, b in zip(kernels(one), kernels(other)):
        np.testing.assert_array_equal(a, b)


# Layers that are frozen when pruned.


@pytest.mark.parametrize("saved", [False, pytest.param(True, marks=slow)])
def test_a_frozen_layer_stays_and_the_rest_retrains(saved, tmp_path):
    admm = compiled(mlp())
    fit(admm, 2)
    admm.model.get_layer("hidden").trainable = False
    if saved:
        admm.save(tmp_path / "run.keras")
        admm = keras.saving.load_model(tmp_path / "run.keras", compile=False)
    admm.compile("adam", "mse", **HOW)
    before = kernels(admm)
    fit(admm, 4, initial_epoch=2)
    after = kernels(admm)
    np.testing.assert_array_equal(before[0], after[0])
    assert np.any(before[1] != after[1])
    np.testing.assert_array_equal(before[1] == 0, after[1] == 0)


def test_what_is_yet_to_be_pruned_can_not_be_frozen():
    admm = compiled(mlp())
    admm.model.get_layer("hidden").trainable = False
    before = kernels(admm)
    with pytest.raises(ValueError, match=r"\['hidden/kernel'\], which are frozen"):
        fit(admm, 2)
    for old, new in zip(before, kernels(admm)):
        np.testing.assert_array_equal(old, new)
    admm.model.get_layer("hidden").trainable = True
    admm.compile("adam", "mse", **HOW)
    fit(admm, 2)
    assert sum(map(np.count_nonzero, kernels(admm))) == 256 - round(0.8 * 256)


# Policies.


def test_the_loss_is_scaled_as_the_model_says():
    with policy("mixed_float16"):
        model = mlp()
    model.compile("adam", "mse")
    admm = compiled(model)
    assert type(admm.optimizer) is type(model.optimizer)
    assert type(admm.optimizer) is keras.optimizers.LossScaleOptimizer


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
