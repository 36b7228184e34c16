"""Bad input is one clear error, before any training, and changes nothing."""

import inspect
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import tf_admm
from tf_admm import ADMMCallback
from tf_admm import ADMMModel
from tf_admm.constraints import Intersection
from tf_admm.constraints import Levels
from tf_admm.constraints import Sparsity
from tf_admm.schedules import Schedule

HALF = Sparsity(0.5)
X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = X[:, :2]


def mlp(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu", name="fc1"),
            layers.Dense(2, name="fc2"),
        ]
    )


def wrapped(seed=0, constraints=None):
    admm = ADMMModel(mlp(seed), constraints or {"fc1": HALF}, rho=0.1)
    admm.compile("adam", "mse", jit_compile=False)
    return admm


def values(model):
    return [np.array(v) for v in model.variables]


def assert_unchanged(model, before):
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value, err_msg=variable.path)


# What `ADMMModel` is given.


class OwnStep(keras.Model):
    def __init__(self):
        super().__init__()
        self.fc1 = layers.Dense(2, name="fc1")

    def call(self, x):
        return self.fc1(x)


class OwnTrainStep(OwnStep):
    def train_step(self, data):
        return {}


class OwnTestStep(OwnStep):
    def test_step(self, data):
        return {}


class OwnLoss(OwnStep):
    def compute_loss(self, *args, **kwargs):
        return 0.0


class OwnMetrics(OwnStep):
    def compute_metrics(self, *args, **kwargs):
        return {}


def built(cls):
    model = cls()
    model(X)
    return model


def frozen():
    model = mlp()
    model.get_layer("fc1").trainable = False
    return model


def unbuilt():
    return keras.Sequential([layers.Dense(2, name="fc1")], name="unbuilt")


FC1 = {"fc1": HALF}
SERIALIZED = keras.saving.serialize_keras_object(HALF)
#: How to make the model, its constraints, rho, and what the error says.
MODELS = {
    "unknown layer": (mlp, {"conv9": HALF}, 0.1, ["'conv9'", "fc1/kernel"]),
    "not in full": (mlp, {"fc": HALF}, 0.1, ["'fc'", "matches none of"]),
    "not a name": (mlp, {1: HALF}, 0.1, ["Received: 1,", "fc1/kernel"]),
    "no constraints": (mlp, {}, 0.1, ["at least one kernel", "constraints={}"]),
    "not a constraint": (mlp, {"fc1": 0.5}, 0.1, ["constraints['fc1']", "=0.5"]),
    "None": (mlp, None, 0.1, ["`constraints`, or `sparsity`", "neither"]),
    "keras' own": (mlp, {"fc1": keras.constraints.NonNeg()}, 0.1, ["NonNeg"]),
    "unbuilt": (unbuilt, FC1, 0.1, ["a built model", "'unbuilt'", "model.build"]),
    "train_step": (lambda: built(OwnTrainStep), FC1, 0.1, ["['train_step']"]),
    "test_step": (lambda: built(OwnTestStep), FC1, 0.1, ["['test_step']"]),
    "compute_loss": (lambda: built(OwnLoss), FC1, 0.1, ["['compute_loss']"]),
    "compute_metrics": (lambda: built(OwnMetrics), FC1, 0.1, ["OwnMetrics"]),
    "frozen": (frozen, FC1, 0.1, ["'fc1'", "untrainable", "layer.trainable = True"]),
    "negative rho": (mlp, FC1, -0.1, ["`rho`", "rho=-0.1"]),
    "NaN rho": (mlp, FC1, np.nan, ["`rho`", "rho=nan"]),
    "infinite rho": (mlp, FC1, np.inf, ["`rho`", "rho=inf"]),
    "rho in words": (mlp, FC1, "0.1", ["`rho`", "rho='0.1'"]),
    "true rho": (mlp, FC1, True, ["`rho`", "rho=True"]),
    "no rho": (mlp, FC1, None, ["`rho`", "rho=None"]),
    "a dict as rho": (mlp, FC1, {"a": 1}, ["`rho`", "rho={'a': 1}"]),
    "a set as rho": (mlp, FC1, SERIALIZED, ["`rho`", "rho=Sparsity(0.5)"]),
}


@pytest.mark.parametrize("build, constraints, rho, said", MODELS.values(), ids=MODELS)
def test_model(build, constraints, rho, said):
    model = build()
    before = values(model) if isinstance(model, keras.Model) else []
    with pytest.raises(ValueError) as error:
        ADMMModel(model, constraints, rho=rho)
    assert_says(error, said)
    if before:
        assert_unchanged(model, before)


def assert_says(error, said):
    message = str(error.value)
    for text in ("Expected", "Received", *said):
        assert text in message, message


def of_a_model():
    """The public functions that are given a model first, and `ADMMModel`."""
    yield pytest.param(ADMMModel, id="ADMMModel")
    for package in (tf_admm, tf_admm.export):
        for name, function in inspect.getmembers(package, inspect.isfunction):
            if next(iter(inspect.signature(function).parameters), None) == "model":
                yield pytest.param(function, id=name)


#: Arguments without which there is no call.
NEEDED = {
    "ADMMModel": {"sparsity": 0.5},
    "allocate": {"ratio": 2},
    "compress": {"data": (np.ones((8, 3)), np.ones(8)), "max_drop": 0.1},
}


@pytest.mark.parametrize("function", of_a_model())
@pytest.mark.parametrize("model", [None, "model.keras", layers.Dense(3), mlp])
def test_what_is_no_model(function, model, tmp_path):
    needed = NEEDED.get(function.__name__, {})
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is parameter.empty and parameter.kind < 2:
            needed = {name: tmp_path / "a.tflite"} | needed
    needed.pop("model")
    with pytest.raises(TypeError) as error:
        function(model, **needed)
    assert_says(error, ["`model` to be a Keras 3 `keras.Model`", repr(model)])
    assert not list(tmp_path.iterdir())


def test_functions_of_a_model_are_found():
    assert len(list(of_a_model())) >= 15


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan, np.inf, "0.5", None])
def test_sparsity(bad):
    with pytest.raises(ValueError) as error:
        Sparsity(bad)
    assert_says(error, ["`sparsity`", "a number in [0, 1]", f"sparsity={bad!r}"])


# What `ADMMCallback` is given.


@pytest.mark.parametrize("bad", [0, -1, 1.5, "3"])
def test_admm_epochs(bad):
    with pytest.raises(ValueError) as error:
        ADMMCallback(bad)
    assert_says(error, ["`admm_epochs`", "a positive integer", f"admm_epochs={bad!r}"])


@pytest.mark.parametrize("bad", [0, -1, 1.5, "batch", None])
def test_update_freq(bad):
    with pytest.raises(ValueError) as error:
        ADMMCallback(3, update_freq=bad)
    assert_says(error, ["`update_freq`", "'epoch' or a", f"update_freq={bad!r}"])


#: Arguments of the callback and of `fit`, and what the error says.
FITS = {
    "too many epochs": (
        {"admm_epochs": 5},
        {"epochs": 4},
        ["`admm_epochs`", "admm_epochs=5, epochs=4"],
    ),
    "never fires": (
        {"admm_epochs": 2, "update_freq": 7},
        {"epochs": 4},
        ["`update_freq`", "the ADMM phase, 6", "update_freq=7"],
    ),
    "never fires with steps_per_epoch": (
        {"admm_epochs": 2, "update_freq": 5},
        {"epochs": 4, "steps_per_epoch": 2},
        ["`update_freq`", "the ADMM phase, 4", "update_freq=5"],
    ),
    "after the phase": (
        {"admm_epochs": 2},
        {"epochs": 4, "initial_epoch": 2},
        ["has not been pruned", "epoch 2, admm_epochs=2"],
    ),
}


@pytest.mark.parametrize("callback, fit, said", FITS.values(), ids=FITS)
def test_fit(callback, fit, said):
    admm = wrapped()
    before = values(admm)
    with pytest.raises(ValueError) as error:
        admm.fit(
            X, Y, batch_size=8, verbose=0, callbacks=[ADMMCallback(**callback)], **fit
        )
    assert_says(error, said)
    assert_unchanged(admm, before)
    assert admm.phase == "dense"
    admm.fit(X, Y, verbose=0, epochs=1, callbacks=[ADMMCallback(1)])
    assert admm.phase == "retraining"


def test_update_freq_of_just_the_phase_does_fire():
    admm = wrapped()
    callback = ADMMCallback(2, update_freq=6)
    admm.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[callback])
    assert admm.phase == "retraining"
    assert np.count_nonzero(admm.model.get_layer("fc1").kernel) == 12


def test_callback_on_a_plain_model():
    model = mlp()
    model.compile("sgd", "mse", jit_compile=False)
    before = values(model)
    with pytest.raises(ValueError) as error:
        model.fit(X, Y, verbose=0, callbacks=[ADMMCallback(1)])
    assert_says(error, ["`tf_admm.ADMMModel`", "Sequential"])
    assert_unchanged(model, before)


def test_fit_without_the_callback_says_so():
    with pytest.warns(UserWarning, match="pruned nothing: no `ADMMCallback`"):
        wrapped().fit(X, Y, verbose=0)


class NeedsMore(keras.optimizers.SGD):
    """Can't be made from its config."""

    def __init__(self, needed, **kwargs):
        super().__init__(0.1)


def test_optimizer_that_can_not_start_afresh():
    admm = wrapped()
    admm.compile(NeedsMore(1), "mse", jit_compile=False)
    before = values(admm)
    with pytest.raises(ValueError, match="`get_config\\(\\)` can make again.*needed"):
        admm.fit(X, Y, epochs=2, verbose=0, callbacks=[ADMMCallback(1)])
    assert_unchanged(admm, before)


# Saving.


class Unregistered(OwnStep):
    pass


@pytest.mark.parametrize("exists", [False, True])
def test_save_of_a_class_that_could_not_be_loaded(exists, tmp_path):
    admm = ADMMModel(built(Unregistered), HALF)
    file = tmp_path / "model.keras"
    if exists:
        wrapped().save(file)
        content = file.read_bytes()
    with pytest.raises(ValueError) as error:
        admm.save(file)
    assert_says(error, ["Unregistered", "register_keras_serializable"])
    assert file.exists() == exists
    if exists:
        assert file.read_bytes() == content
    assert len(list(tmp_path.iterdir())) == exists


def trained():
    """With values in every variable, those of the optimizer included."""
    admm = wrapped(seed=1)
    admm.fit(X, Y, epochs=2, verbose=0, callbacks=[ADMMCallback(1)])
    return admm


#: How to make the model whose weights file is loaded into `trained()`.
FILES = {
    "another sparsity": lambda: wrapped(constraints={"fc1": Sparsity(0.75)}),
    "another layer": lambda: wrapped(constraints={"fc2": HALF}),
    "more layers": lambda: wrapped(constraints={".*": HALF}),
    "a plain model": mlp,
}


def test_weights_without_an_optimizer(tmp_path):
    file = tmp_path / "run.weights.h5"
    trained().save_weights(file)
    admm = ADMMModel(mlp(2), {"fc1": HALF}, rho=0.1)
    with pytest.raises(ValueError, match="same model and constraints"):
        ADMMModel(mlp(2), {"fc2": HALF}, rho=0.1).load_weights(file)
    admm.load_weights(file)
    assert admm.phase == "retraining"


@pytest.mark.parametrize("build", FILES.values(), ids=FILES)
def test_weights_of_another_model(build, tmp_path):
    file = tmp_path / "other.weights.h5"
    build().save_weights(file)
    admm = trained()
    before, slots = values(admm), values(admm.optimizer)
    with pytest.raises(ValueError) as error:
        admm.load_weights(file)
    assert_unchanged(admm, before)
    assert_unchanged(admm.optimizer, slots)
    assert admm.phase == "retraining"
    assert_says(error, ["ADMMModel", ".model"])


def test_weights_of_the_same_model_load(tmp_path):
    """The error above is not for nothing: the right file does load."""
    file = tmp_path / "same.weights.h5"
    admm = trained()
    admm.save_weights(file)
    other = wrapped(seed=2)
    other.optimizer.build(other.trainable_variables)
    other.load_weights(file)
    assert_unchanged(other, values(admm))


# `tf.distribute`, in a process of its own: devices are set up but once.

SCOPES = """
import keras, tensorflow as tf, tf_admm
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
half = tf_admm.constraints.Sparsity(0.5)

def mlp():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="fc1")])

def attempt(model):
    before = model.get_weights()
    try:
        tf_admm.ADMMModel(model, half)
        print("no error")
    except ValueError as error:
        print(error)
    assert all((a == b).all() for a, b in zip(model.get_weights(), before))

with strategy.scope():
    inside = mlp()
    attempt(mlp())
attempt(mlp())
attempt(inside)
outside = mlp()
with strategy.scope():
    attempt(outside)
"""


@pytest.mark.slow
def test_scopes():
    result = subprocess.run(
        [sys.executable, "-c", SCOPES],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    same, none, *crossed = result.stdout.strip().splitlines()
    assert same == none == "no error"
    assert len(crossed) == 2
    for message in crossed:
        assert re.search(r"Expected .* same `tf.distribute` strategy", message)
        assert re.search(r"Received: .*not built: \['fc1/kernel'\]", message)
    assert "Mirrored" not in crossed[0] and "Mirrored" in crossed[1]


# Calls in the wrong phase.


@pytest.mark.parametrize("phase", ["dense", "retraining"])
def test_dual_update_outside_of_the_admm_phase(phase):
    admm = wrapped()
    if phase == "retraining":
        admm.finalize()
    before = values(admm)
    with pytest.raises(RuntimeError, match=f"Expected .*Received: the {phase} phase"):
        admm.dual_update()
    assert_unchanged(admm, before)


def test_wrapping_a_wrapper():
    admm = wrapped()
    with pytest.raises(ValueError, match="overrides.*give its `.model`"):
        ADMMModel(admm, HALF)


# What could not be loaded again.


def worth(v, f):
    return f


class Own(Sparsity):
    pass


class Slow(Schedule):
    def __call__(self, t):
        return 0.1

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable(package="tf_admm_tests")
def registered(v, f):
    return f


#: Constraints, rho, and the name that the error gives.
UNREGISTERED = {
    "metric": (Sparsity(0.5, metric=worth), 0.1, "worth"),
    "set": (Own(0.5), 0.1, "Own"),
    "set in a set": (Intersection(Own(0.5), Levels.binary()), 0.1, "Own"),
    "schedule": (HALF, Slow(), "Slow"),
}


@pytest.mark.parametrize(
    "constraint, rho, name", UNREGISTERED.values(), ids=UNREGISTERED
)
def test_save_of_what_could_not_be_loaded(constraint, rho, name, tmp_path):
    admm = ADMMModel(mlp(), constraint, rho=rho)
    with pytest.raises(ValueError) as error:
        admm.save(tmp_path / "run.keras")
    assert_says(error, [f"['{name}']", "register_keras_serializable"])
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_save_of_a_lambda(tmp_path):
    admm = ADMMModel(mlp(), Sparsity(0.5, metric=lambda v, f: f), rho=0.1)
    with pytest.raises(ValueError, match=r"\['lambda'\]"):
        admm.save(tmp_path / "run.keras")


def test_save_of_a_registered_metric(tmp_path):
    admm = ADMMModel(mlp(), Sparsity(0.5, metric=registered), rho=0.1)
    admm.save(tmp_path / "run.keras")
    again = keras.saving.load_model(tmp_path / "run.keras")
    assert again.get_config()["constraints"] == admm.get_config()["constraints"]


def test_weights_of_another_unregistered_metric(tmp_path):
    file = tmp_path / "run.weights.h5"
    ADMMModel(mlp(), Sparsity(0.5, metric=worth), rho=0.1).save_weights(file)
    with pytest.raises(ValueError, match="same model and constraints.*worth"):
        ADMMModel(mlp(), HALF, rho=0.1).load_weights(file)


def test_save_in_a_format_that_holds_no_run(tmp_path):
    for name in ("run.h5", "run.hdf5"):
        with pytest.raises(ValueError) as error:
            wrapped().save(tmp_path / name)
        assert_says(error, ["'.keras'", name])
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize`")
def test_save_of_kernels_that_were_quantized(tmp_path):
    admm = trained()
    admm.model.quantize("int8")
    for save, name in ((admm.save, "run.keras"), (admm.save_weights, "run.weights.h5")):
        with pytest.raises(ValueError) as error:
            save(tmp_path / name)
        assert_says(error, ["'fc1/kernel'", "quantize"])
    assert not list(tmp_path.iterdir())


# Schedules.


class Falls(Schedule):
    """Ends at a number that rho may not be."""

    def __init__(self, end):
        self.end = end

    def __call__(self, t):
        return 0.1 if t < 1.0 else self.end


@pytest.mark.parametrize("end", [-0.1, np.nan, np.inf])
def test_schedule_of_what_rho_may_not_be(end):
    with pytest.raises(ValueError) as error:
        ADMMModel(mlp(), HALF, rho=Falls(end))
    assert_says(error, ["`rho`", f"{end} from Falls"])


def test_update_to_what_rho_may_not_be():
    class Minus(Falls):
        def update(self, t, rho, found):
            return -rho

    admm = ADMMModel(mlp(), HALF, rho=Minus(0.1))
    admm.begin()
    with pytest.raises(ValueError, match=r"-0.1\d* from Minus"):
        admm.dual_update(0.5)
