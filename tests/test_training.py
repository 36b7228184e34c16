"""Whole runs of `ADMMModel.fit`, each against an oracle that is not tf_admm.

What each backend must do is in `test_any_backend.py`.
"""

import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from battery import JIT
from battery import OPTIMIZERS
from battery import O
from battery import Spy
from battery import Support
from battery import assert_pruned
from battery import assert_same
from battery import build
from battery import constrained
from battery import everything
from battery import fit
from battery import kept
from battery import largest
from battery import make
from battery import state
from battery import values
from sweeps import few

import models
import tf_admm
from tf_admm.constraints import Sparsity

slow = pytest.mark.slow


def dataset(task, batch_size=16):
    """In a fixed order."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((task.x, task.y)).batch(batch_size)


# a. Two devices.

MIRRORED = """
import sys
import keras, numpy as np, tensorflow as tf
cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import tf_admm
from tf_admm.constraints import GroupSparsity
from tf_admm.constraints import Sparsity

class Record(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []
    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(
            [np.array(w) for w in self.model.get_weights()[:24]] + [logs["loss"]]
        )

def run(strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([
            keras.Input((8,)),
            keras.layers.Dense(16, "relu", kernel_regularizer="l2", name="first"),
            keras.layers.Dense(16, "tanh", name="second"),
            keras.layers.Dense(3, "softmax", name="head"),
        ])
        admm = tf_admm.ADMMModel(
            model,
            {"first": Sparsity(0.7, metric="curvature"), "second": GroupSparsity(0.5)},
            rho=tf_admm.schedules.Cosine(0.1, 1.0),
        )
        admm.compile(
            keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy"
        )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8)).astype("float32")
    y = rng.integers(0, 3, 64)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    record = Record()
    callbacks = [tf_admm.ADMMCallback(2), record]
    admm.fit(data, epochs=4, shuffle=False, verbose=0, callbacks=callbacks)
    assert admm.phase == "retraining"
    return record.seen, [np.array(w) for w in model.get_weights()]

two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert two.num_replicas_in_sync == 2
(one_seen, one), (two_seen, two) = run(tf.distribute.get_strategy()), run(two)
for a, b in zip(one_seen, two_seen, strict=True):
    for v, w in zip(a, b, strict=True):
        np.testing.assert_allclose(v, w, atol=1e-6, rtol=0)
for a, b in zip(one, two, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(a == 0, b == 0)
assert np.count_nonzero(one[0]) == one[0].size - round(0.7 * one[0].size)
dead = ~one[2].any(axis=0) & (one[3] == 0)
assert dead.sum() == 8 and one[2][:, ~dead].all()
print("same")
"""


def run_python(code, *args, pythonpath=None):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    env = {**os.environ, "PYTHONPATH": root if pythonpath is None else pythonpath}
    command = [sys.executable, "-c", code, *[str(a) for a in args]]
    process = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=240
    )
    assert process.returncode == 0, process.stderr[-4000:]
    return process.stdout


def test_two_devices_agree_with_one():
    """SGD, since Adam makes +-1 of a gradient that is rounding noise.

    The two halves of a batch are summed in another order than the whole, which
    is 1e-7 in float32: hence 1e-6 after 16 steps, and not equality.
    """
    assert "same" in run_python(MIRRORED)


# b. The optimizer at the hand-over.

HAND_OVER = {
    "adam": lambda: O.Adam(0.01),
    "nadam": lambda: O.Nadam(0.01),
    "adagrad": lambda: O.Adagrad(0.05),
    "ftrl": lambda: O.Ftrl(0.05),
    "schedule": lambda: O.SGD(O.schedules.CosineDecay(0.05, 20), momentum=0.9),
    "loss_scale": lambda: O.LossScaleOptimizer(
        O.Adam(0.01), initial_scale=8.0, dynamic_growth_steps=3
    ),
}


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(name, marks=() if name in ("adam", "loss_scale") else slow)
        for name in HAND_OVER
    ],
)
def test_optimizer_starts_afresh(optimizer):
    task = build("mlp")
    admm = make(task, optimizer=HAND_OVER[optimizer]())
    look = Spy(lambda m: values(m.optimizer.variables))
    rate = Spy(lambda m: float(m.optimizer.learning_rate))
    # A batch size that doesn't let the loss scale end where it began.
    history = fit(admm, task, 3, 2, [look, rate], batch_size=24)
    assert history.epoch == [0, 1, 2]

    fresh = HAND_OVER[optimizer]()
    fresh.build(task.model.trainable_variables)
    expected = values(fresh.variables)
    assert_same(look.seen[1], expected)
    assert rate.seen[1] == float(fresh.learning_rate)
    moved = [np.any(a != b) for a, b in zip(look.seen[0], expected)]
    assert any(moved)


def test_fresh_optimizer_retrains_as_a_new_one():
    """Retraining equals plain Keras from the cut weights, under a constraint."""
    task = build("mlp")
    task.model.layers[2].rate = 0.0  # No dropout: its seeds would differ.
    admm = make(task, optimizer=O.Nadam(0.01))
    spy = Spy(lambda m: m.model.get_weights())
    fit(admm, task, 4, 2, [spy])

    plain = build("mlp")
    plain.model.layers[2].rate = 0.0
    plain.model.set_weights(spy.seen[1])
    for kernel in constrained(plain.model):
        mask = np.array(kernel) != 0.0
        kernel.constraint = lambda w, mask=mask: w * mask
    plain.model.compile(O.Nadam(0.01), jit_compile=JIT, **plain.compile_args())
    plain.model.fit(plain.x, plain.y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(task.model.get_weights(), plain.model.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-6, rtol=0)


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of the user's own, not registered with Keras."""

    def __call__(self, step):
        return 0.05 / (1.0 + keras.ops.cast(step, "float32"))

    def get_config(self):
        return {}


@pytest.mark.parametrize("scaled", few([False, True], True))
@pytest.mark.parametrize("rate", [Falling(), lambda: 0.05], ids=["own", "function"])
def test_learning_rate_of_ones_own(rate, scaled):
    task = build("mlp")
    optimizer = O.Adam(rate)
    admm = make(
        task, optimizer=O.LossScaleOptimizer(optimizer) if scaled else optimizer
    )
    steps = Spy(lambda m: int(optimizer.iterations), "train_batch_end")
    fit(admm, task, 3, callbacks=[tf_admm.ADMMCallback(2), steps])
    epoch = len(steps.seen) // 3
    assert steps.seen == [*range(1, 2 * epoch + 1), *range(1, epoch + 1)]
    assert admm.phase == "retraining"


@pytest.mark.parametrize("kind", ["plateau", "scheduler"])
def test_learning_rate_returns_to_its_beginning(kind):
    task = build("mlp")
    admm = make(task, optimizer=O.SGD(0.05))
    if kind == "plateau":
        callback = keras.callbacks.ReduceLROnPlateau(
            "loss", factor=0.5, patience=1, min_delta=1e9
        )
    else:
        callback = keras.callbacks.LearningRateScheduler(
            lambda epoch, lr: lr * 0.5 if epoch < 3 else lr
        )
    rates = Spy(lambda m: float(m.optimizer.learning_rate), "train_batch_end")
    # Before ours, so that the reduction at the end of the phase is before too.
    callbacks = [callback, tf_admm.ADMMCallback(3), rates]
    fit(admm, task, 4, callbacks=callbacks)
    steps = len(rates.seen) // 4
    assert rates.seen[3 * steps - 1] < 0.03
    assert rates.seen[3 * steps] == pytest.approx(0.05)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "global_clipnorm"])
def test_optimizer_sees_no_gradient_of_a_zero(optimizer):
    """The moments of pruned weights stay 0.0, in retraining."""
    task = build("mlp")
    admm = make(task, optimizer=OPTIMIZERS[optimizer]())
    fit(admm, task, 3, 2)
    for kernel in constrained(task.model):
        zeros = np.array(kernel) == 0.0
        name = kernel.path.replace("/", "_")
        moments = [v for v in admm.optimizer.variables if v.path.find(name + "_") >= 0]
        assert len(moments) == (1 if optimizer == "sgd" else 2)
        for moment in values(moments):
            assert np.any(moment[~zeros])
            assert not np.any(moment[zeros])


@keras.saving.register_keras_serializable(package="tf_admm_tests")
class Shift(keras.constraints.Constraint):
    """A user's constraint that makes zeros nonzero."""

    def __call__(self, w):
        return w + 1e-3


@pytest.mark.parametrize("constraint", [None, Shift()])
def test_nothing_moves_a_zero(constraint):
    """Neither old momentum, after a `finalize()` by hand, nor a constraint."""
    task = build("mlp")
    for kernel in constrained(task.model):
        kernel.constraint = constraint
    admm = make(task, optimizer=O.SGD(0.05, momentum=0.9))
    with pytest.warns(UserWarning, match="finalize"):
        fit(admm, task, 3, callbacks=[tf_admm.ADMMCallback(3), StopAt(1)])
    admm.finalize()
    support = Support()
    fit(admm, task, 1, callbacks=[support])
    assert support.batches == 6
    assert_pruned(admm)


class StopAt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == self.epoch


# c. Two fits.


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("name", ["mlp", pytest.param("residual", marks=slow)])
def test_two_fits(name, again):
    task = build(name)
    admm = make(task)
    fit(admm, task, 2, 2)
    assert_pruned(admm)
    masks = state(admm, "settled")
    admm.compile(
        O.AdamW(0.02, weight_decay=0.1), jit_compile=JIT, **task.compile_args()
    )
    support = Support()
    callbacks = [tf_admm.ADMMCallback(2)] if again else []
    history = fit(admm, task, 4, callbacks=[*callbacks, support], initial_epoch=2)
    assert history.epoch == [2, 3]
    assert support.batches == 12
    assert_pruned(admm)
    assert_same(masks, state(admm, "settled"))


# d. Callbacks of Keras that stop, restore and save.


def fit_stopped(position, patience, start_from_epoch=0):
    """3 epochs of ADMM of 6, with an EarlyStopping whose best epoch is its first."""
    admm = make(task := build("mlp"))
    stopping = keras.callbacks.EarlyStopping(
        "loss",
        min_delta=1e9,
        patience=patience,
        restore_best_weights=True,
        start_from_epoch=start_from_epoch,
    )
    ours = tf_admm.ADMMCallback(3)
    order = [stopping, ours] if position == "before" else [ours, stopping]
    return admm, fit(admm, task, 6, callbacks=order)


@pytest.mark.parametrize("position", few(["before", "after"], "after"))
@pytest.mark.parametrize("patience, last", [(1, 1), (4, 4)])
def test_early_stopping_in_the_admm_phase(position, patience, last):
    """Patience 1 ends the phase; 4 stops later, and restores from it."""
    with pytest.warns(UserWarning, match="start_from_epoch"):
        admm, history = fit_stopped(position, patience)
    assert history.epoch[-1] == last
    assert admm.phase == "admm"
    for w in values(constrained(admm.model)):
        assert np.count_nonzero(w) > kept(w.size)
    admm.finalize()
    assert_pruned(admm)


@pytest.mark.parametrize("position", ["before", "after"])
def test_early_stopping_of_retraining(position):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        # Three epochs of ADMM don't converge, which is not the matter here.
        warnings.filterwarnings("ignore", "ADMM has not|The weights are far")
        admm, history = fit_stopped(position, patience=1, start_from_epoch=3)
    assert history.epoch[-1] == 4
    assert_pruned(admm)


@pytest.mark.parametrize("suffix", few([".keras", ".weights.h5"], ".keras"))
@pytest.mark.parametrize(
    "position, monitor, phase",
    [
        ("after", "loss", "admm"),
        pytest.param("after", "rho", "retraining", marks=slow),
        ("before", "loss", "admm"),
    ],
)
def test_best_checkpoint_across_the_hand_over(
    position, monitor, phase, suffix, tmp_path
):
    """The highest loss is the first epoch's, the lowest rho is of retraining."""
    path = str(tmp_path / f"best{suffix}")
    saving = keras.callbacks.ModelCheckpoint(
        path,
        monitor=monitor,
        mode="min" if monitor == "rho" else "max",
        save_best_only=True,
        save_weights_only=suffix != ".keras",
    )
    task = build("mlp")
    admm = make(task, optimizer=O.SGD(0.05))
    ours = tf_admm.ADMMCallback(2)
    order = [saving, ours] if position == "before" else [ours, saving]
    fit(admm, task, 4, callbacks=order)

    if suffix == ".keras":
        found = keras.saving.load_model(path)
    else:
        found = make(build("mlp"))
        found.load_weights(path)
    assert found.phase == phase
    found.finalize()
    assert_pruned(found)


# e. The user's model.


class Snapshot:
    """What of a model must be left alone."""

    def __init__(self, model):
        self.layers = [(x.name, x.dtype_policy.name, id(x)) for x in model.layers]
        self.variables = [
            (v.path, id(v), id(v.regularizer), id(v.constraint), v.trainable)
            for v in model.variables
        ]
        self.losses = len(model.losses)
        self.trainable = [id(v) for v in model.trainable_variables]
        self.config = model.get_config()


def constrained_by_the_user():
    inputs = keras.Input((8,))
    x = keras.layers.Dense(
        16,
        "relu",
        kernel_regularizer=keras.regularizers.L2(1e-3),
        kernel_constraint=keras.constraints.NonNeg(),
    )(inputs)
    x = keras.layers.Dense(
        16, "tanh", kernel_constraint=keras.constraints.MaxNorm(0.5)
    )(x)
    task = models.mlp()
    outputs = keras.layers.Dense(3, "softmax", name="head")(x)
    return task._replace(model=keras.Model(inputs, outputs))


def test_users_model_is_left_alone():
    keras.utils.set_random_seed(0)
    task = constrained_by_the_user()
    before = Snapshot(task.model)
    admm = make(task)
    fit(admm, task, 3, 2)
    assert vars(Snapshot(task.model)) == vars(before)
    assert admm.model is task.model
    first, second = values(constrained(task.model))
    assert np.all(first >= 0.0)
    assert np.all(np.linalg.norm(second, axis=0) <= 0.5 + 1e-5)
    for kernel, mask in zip([first, second], state(admm, "settled")):
        assert int(mask.sum()) == kept(kernel.size)
        assert not np.any(kernel[mask == 0.0])


PLAIN = """
import sys
import keras, numpy as np
if sys.argv[4]:
    sys.path.insert(0, sys.argv[4])
    import models
model = keras.saving.load_model(sys.argv[1])
assert "tf_admm" not in sys.modules
y = model.predict(np.load(sys.argv[2]), batch_size=16, verbose=0)
np.save(sys.argv[3], y)
"""


@pytest.mark.parametrize("name", few(["mlp", "residual", "subclassed"], "mlp"))
def test_pruned_model_loads_without_tf_admm(name, tmp_path):
    task = build(name)
    admm = make(task)
    fit(admm, task, 3, 2)
    task.model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", task.x)
    own_class = os.path.dirname(models.__file__) if name == "subclassed" else ""
    run_python(
        PLAIN,
        tmp_path / "model.keras",
        tmp_path / "x.npy",
        tmp_path / "y.npy",
        own_class,
        pythonpath="",
    )
    y = task.model.predict(task.x, batch_size=16, verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), y, atol=1e-6)


# f. The algebra of the updates, in NumPy.


def boundaries(steps, epochs, steps_per_execution, update_freq):
    """Counts of W-steps at which Z and U are updated, by brute force."""
    fired, since = [], 0
    for epoch in range(epochs):
        for step in range(1, steps + 1):
            since += 1
            at_boundary = step % steps_per_execution == 0 or step == steps
            if at_boundary and since >= update_freq:
                fired.append(epoch * steps + step)
                since = 0
    return fired, since


@pytest.mark.parametrize(
    "steps_per_execution, update_freq",
    [
        (1, 4),
        (1, 8),
        (4, 7),
        pytest.param(1, 1, marks=slow),
        pytest.param(1, 6, marks=slow),
        pytest.param(2, 3, marks=slow),
        pytest.param(4, 3, marks=slow),
        pytest.param(6, 13, marks=slow),
    ],
)
def test_updates_by_steps(steps_per_execution, update_freq, monkeypatch):
    """6 steps an epoch, 3 epochs of ADMM, 1 of retraining."""
    fired, progress = [], []
    original = tf_admm.ADMMModel.dual_update

    def recorded(self, t=1.0):
        fired.append(int(self.optimizer.iterations))
        progress.append(t)
        original(self, t)

    monkeypatch.setattr(tf_admm.ADMMModel, "dual_update", recorded)
    task = build("mlp")
    admm = make(task, steps_per_execution=steps_per_execution)
    ours = tf_admm.ADMMCallback(3, update_freq=update_freq)
    spy = Spy(lambda m: m.steps_since_update)
    fit(admm, task, 4, callbacks=[spy, ours])
    expected, rest = boundaries(6, 3, steps_per_execution, update_freq)
    assert fired == expected
    assert progress == pytest.approx([step / 18 for step in expected])
    assert spy.seen[2] == rest
    assert_pruned(admm)


@pytest.mark.parametrize("update_freq", [3, 7])
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_updates_by_steps_of_unknown_number(update_freq, monkeypatch):
    """Keras counts a cut-short last execution as a whole one: 8 steps, not 6."""
    fired = []
    original = tf_admm.ADMMModel.dual_update

    def recorded(self, t=1.0):
        fired.append(int(self.optimizer.iterations))
        original(self, t)

    monkeypatch.setattr(tf_admm.ADMMModel, "dual_update", recorded)
    task = build("mlp")
    admm = make(task, steps_per_execution=4)
    data = dataset(task).filter(lambda x, y: True)
    assert int(data.cardinality()) < 0
    ours = tf_admm.ADMMCallback(3, update_freq=update_freq)
    admm.fit(data, epochs=4, shuffle=False, verbose=0, callbacks=[ours])
    assert fired == boundaries(6, 3, 4, update_freq)[0]
    assert_pruned(admm)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=slow)])
def test_epochs_of_unknown_length_are_learnt_from_the_first(jit_compile, monkeypatch):
    """From the second on, updates come about when they would if it were known.

    Keras on TensorFlow counts one step more in the first epoch of a fit.
    """
    runs = []
    original = tf_admm.ADMMModel.dual_update

    def recorded(self, t=1.0):
        runs[-1].append(t)
        original(self, t)

    monkeypatch.setattr(tf_admm.ADMMModel, "dual_update", recorded)
    monkeypatch.setattr(tf_admm.ADMMModel, "has_followed", lambda self: True)
    task = build("mlp")
    for data in (dataset(task), dataset(task).filter(lambda x, y: True)):
        runs.append([])
        admm = make(task, jit_compile=jit_compile)
        ours = tf_admm.ADMMCallback(4)
        admm.fit(data, epochs=5, shuffle=False, verbose=0, callbacks=[ours])
        assert_pruned(admm)
    known, unknown = runs
    assert known == pytest.approx([step / 8 for step in range(1, 9)])
    assert unknown[0] == 0.25 < unknown[1]
    assert len(unknown) == 8 and unknown == sorted(unknown)
    assert unknown[-1] == 1.0


def test_mask_is_of_the_last_z_step():
    """With W-steps after the last update, one more Z-step makes the mask."""
    task = build("mlp")
    admm = make(task, 0.05)
    before, after = Spy(everything), Spy(everything)
    ours = tf_admm.ADMMCallback(2, update_freq=5)
    fit(admm, task, 2, callbacks=[before, ours, after])
    old, new = before.seen[1], after.seen[1]
    assert old["steps"] == 2
    for w, u, mask, cut in zip(old["w"], old["u"], new["settled"], new["w"]):
        assert np.any(u)
        expected = largest(w + u, kept(w.size))
        np.testing.assert_array_equal(mask, expected)
        np.testing.assert_array_equal(cut, np.where(expected, w, 0))


# g. What is shown.


def test_the_progress_bar_shows_what_a_person_reads(capsys):
    """The logs hold all keys, for `History` and callbacks listed after ours."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    admm = tf_admm.ADMMModel(model, Sparsity(0.5), rho=0.1)
    admm.compile("sgd", "mse", jit_compile=JIT)
    x, y = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")
    admm.fit(x, y, epochs=2, callbacks=[tf_admm.ADMMCallback(1)])
    said = capsys.readouterr().out
    for name in ("admm_penalty", "admm_primal:", "admm_dual", "admm_dual_rel"):
        assert name not in said
    assert "admm_primal_rel" in said and "rho" in said
    keys = {"admm_penalty", "admm_primal", "admm_dual", "admm_primal_rel"}
    assert keys | {"admm_dual_rel", "rho", "loss"} <= set(admm.history.history)
    # A bar of the user's own is the only one; and `verbose=0` shows none.
    ours, own = tf_admm.ADMMCallback(1), keras.callbacks.ProgbarLogger()
    admm.fit(x, y, epochs=3, initial_epoch=2, callbacks=[ours, own])
    assert capsys.readouterr().out.count("Epoch 3/3") == 1
    admm.fit(x, y, epochs=4, initial_epoch=3, verbose=0, callbacks=[ours])
    assert not capsys.readouterr().out
