"""Whole runs of `ADMMModel.fit`, each against an oracle that is not tf_admm."""

import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from sweeps import few

import models
import tf_admm
from models import ALL_BUT_HEAD
from tf_admm.constraints import Sparsity

LOG_KEYS = [
    "admm_penalty",
    "admm_primal",
    "admm_dual",
    "admm_primal_rel",
    "admm_dual_rel",
    "admm_changed",
    "rho",
]
SPARSITY = 0.7
PRUNABLE = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")


def make(task, rho=0.01, seed=0, optimizer="adam", constraints=None, **kwargs):
    """A compiled `ADMMModel`; `kwargs` go to `compile`."""
    admm = tf_admm.ADMMModel(
        task.model, constraints or {ALL_BUT_HEAD: Sparsity(SPARSITY)}, rho=rho
    )
    kwargs = {"jit_compile": False, **task.compile_args(), **kwargs}
    admm.compile(optimizer, **kwargs)
    return admm


def fit(admm, task, epochs, admm_epochs=None, callbacks=(), **kwargs):
    """`fit` on arrays; the callbacks stand after ours."""
    if admm_epochs:
        callbacks = [tf_admm.ADMMCallback(admm_epochs), *callbacks]
    kwargs = {"batch_size": 16, "shuffle": False, "verbose": 0, **kwargs}
    return admm.fit(task.x, task.y, epochs=epochs, callbacks=list(callbacks), **kwargs)


def build(name, seed=0):
    keras.utils.set_random_seed(seed)
    return getattr(models, name)()


def dataset(task, batch_size=16):
    """In a fixed order."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((task.x, task.y)).batch(batch_size)


def constrained(model):
    """The kernels that the tests prune, found without tf_admm."""
    head = {id(v) for v in model.get_layer("head").variables}
    return [
        v for v in model.trainable_variables if v.name in PRUNABLE and id(v) not in head
    ]


def unconstrained(model):
    pruned = {id(v) for v in constrained(model)}
    return [v for v in model.trainable_variables if id(v) not in pruned]


def values(variables):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def kept(size, sparsity=SPARSITY):
    return size - round(sparsity * size)


def state(admm, name):
    """z, u or mask of each kernel."""
    return values(getattr(slot, name) for slot in admm._slots)


def assert_same(left, right):
    assert len(left) == len(right) > 0
    for a, b in zip(left, right):
        np.testing.assert_array_equal(a, b)


def assert_pruned(admm, full=True):
    """Exact masks, no weight outside of them, and the phase says so.

    Weights drawn from a continuous law fill their mask, unless the optimizer
    makes zeros of its own.
    """
    assert admm.phase == "retraining"
    weights, masks = values(constrained(admm.model)), state(admm, "settled")
    assert len(weights) == len(masks)
    for w, mask in zip(weights, masks):
        assert w.shape == mask.shape
        assert set(np.unique(mask)) <= {0.0, 1.0}
        assert int(mask.sum()) == kept(w.size)
        assert not np.any(w[mask == 0.0])
        if full:
            assert np.count_nonzero(w) == kept(w.size)


class Spy(keras.callbacks.Callback):
    """Calls `look(model)` as each epoch begins or ends, and keeps the answers."""

    def __init__(self, look, at="epoch_end"):
        super().__init__()
        self.look, self.seen, self.logs = look, [], []
        setattr(self, f"on_{at}", self.note)

    def note(self, index, logs=None):
        self.seen.append(self.look(self.model))
        self.logs.append(dict(logs or {}))


class Support(keras.callbacks.Callback):
    """Asserts after each batch of retraining that the mask holds, and stays."""

    def __init__(self):
        super().__init__()
        self.zeros, self.batches = None, 0

    def on_train_batch_end(self, batch, logs=None):
        if self.model.phase != "retraining":
            return
        weights = values(constrained(self.model.model))
        zeros = [mask == 0.0 for mask in state(self.model, "settled")]
        assert_same(zeros, self.zeros or zeros)
        for w, cut in zip(weights, zeros):
            assert not np.any(w[cut])
        self.zeros = zeros
        self.batches += 1


# a. Every kind of model.


@pytest.mark.parametrize(
    "name", few(models.MODELS, "nested", "subclassed", "several", "attention")
)
def test_prunes_exactly(name):
    task = build(name)
    admm = make(task)
    assert len(state(admm, "z")) == len(constrained(task.model))
    assert len(constrained(task.model)) == models.KERNELS[name]
    support = Support()
    spy = Spy(lambda m: (values(unconstrained(m.model)), values(constrained(m.model))))
    data = (task.x, task.y)
    history = fit(admm, task, 4, 2, [support, spy], validation_data=data).history

    assert_pruned(admm)
    assert support.batches > 0
    (at_cut, cut), (at_end, end) = spy.seen[1], spy.seen[-1]
    for before, after in zip(cut, end):
        assert np.count_nonzero(before) == kept(before.size)
        assert np.any(before != after)
        np.testing.assert_array_equal(before == 0.0, after == 0.0)
    # A key bias moves no attention score, so its gradient is rounding noise.
    for v, before, after in zip(unconstrained(task.model), at_cut, at_end):
        assert np.any(before != after), v.path
    for key in ["loss", "val_loss", *LOG_KEYS]:
        assert len(history[key]) == 4, key
        assert np.all(np.isfinite(history[key])), key
    assert history["rho"] == [pytest.approx(0.01)] * 2 + [0.0] * 2
    assert history["admm_penalty"][0] > 0.0
    assert history["admm_penalty"][2:] == [0.0, 0.0]

    # The task's loss, by a plain model with the same weights.
    plain = keras.models.clone_model(task.model) if name != "subclassed" else task.model
    plain.set_weights(task.model.get_weights())
    plain.compile("sgd", **task.compile_args())
    loss = plain.evaluate(*data, batch_size=16, verbose=0, return_dict=True)["loss"]
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)


# b. Policies, pairwise.

O = keras.optimizers  # noqa: E741
OPTIMIZERS = {
    "adam": lambda: O.Adam(0.01),
    "sgd": lambda: O.SGD(0.05, momentum=0.9, nesterov=True),
    "adamw": lambda: O.AdamW(0.01, weight_decay=0.1),
    "nadam": lambda: O.Nadam(0.01),
    "adagrad": lambda: O.Adagrad(0.05),
    "ftrl": lambda: O.Ftrl(0.05),
    "rmsprop": lambda: O.RMSprop(0.01, momentum=0.5, centered=True),
    "lion": lambda: O.Lion(0.003, weight_decay=0.1),
    "clipnorm": lambda: O.Adam(0.01, clipnorm=0.5),
    "global_clipnorm": lambda: O.Adam(0.01, global_clipnorm=0.5),
    "ema": lambda: O.Adam(0.01, use_ema=True, ema_momentum=0.9),
    "ema_overwrite": lambda: O.SGD(
        0.05, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4
    ),
    "accumulation": lambda: O.Adam(0.01, gradient_accumulation_steps=2),
    "muon": lambda: O.Muon(0.01, exclude_layers=["head"]),
}
F32, F16, BF16 = "float32", "mixed_float16", "mixed_bfloat16"
slow = pytest.mark.slow


@pytest.mark.parametrize(
    "optimizer, policy, jit_compile, steps_per_execution, update_freq",
    [
        ("adam", F16, True, 3, "epoch"),
        ("sgd", BF16, False, 1, 3),
        pytest.param("adamw", F32, False, 3, "epoch", marks=slow),
        pytest.param("ema", F16, False, 1, "epoch", marks=slow),
        ("accumulation", F32, False, 1, 3),
        pytest.param("adam", F32, True, 1, 3, marks=slow),
        pytest.param("adam", BF16, True, 1, "epoch", marks=slow),
        pytest.param("sgd", F16, True, 3, "epoch", marks=slow),
        pytest.param("adamw", BF16, True, 1, 3, marks=slow),
        pytest.param("nadam", F32, True, 3, 3, marks=slow),
        pytest.param("nadam", F16, False, 1, "epoch", marks=slow),
        pytest.param("adagrad", F16, False, 3, 3, marks=slow),
        pytest.param("ftrl", F32, False, 3, 3, marks=slow),
        pytest.param("ftrl", BF16, True, 1, "epoch", marks=slow),
        pytest.param("rmsprop", BF16, False, 3, "epoch", marks=slow),
        pytest.param("lion", F16, False, 1, 3, marks=slow),
        pytest.param("lion", F32, True, 3, "epoch", marks=slow),
        pytest.param("clipnorm", F16, True, 1, 3, marks=slow),
        pytest.param("global_clipnorm", BF16, False, 3, "epoch", marks=slow),
        pytest.param("ema", F32, True, 3, 3, marks=slow),
        pytest.param("ema_overwrite", BF16, False, 3, 3, marks=slow),
        pytest.param("accumulation", F16, True, 3, "epoch", marks=slow),
        pytest.param("muon", F32, False, 1, "epoch", marks=slow),
        pytest.param("muon", F32, True, 3, 3, marks=slow),
    ],
)
def test_policies(optimizer, policy, jit_compile, steps_per_execution, update_freq):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        task = build("mlp")
    finally:
        keras.config.set_dtype_policy(before)
    admm = make(
        task,
        optimizer=OPTIMIZERS[optimizer](),
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
    support = Support()
    callback = tf_admm.ADMMCallback(2, update_freq=update_freq)
    history = fit(admm, task, 4, callbacks=[callback, support]).history

    assert support.batches == 2 * (6 // steps_per_execution)
    # Ftrl takes a weight whose gradient is 0.0 to zero at its first step.
    assert_pruned(admm, full=optimizer != "ftrl")
    assert np.all(np.isfinite(history["loss"]))
    for name in ("z", "u", "settled"):
        precision = "bool" if name == "settled" else "float32"
        assert {a.dtype.name for a in state(admm, name)} == {precision}
    names = [layer.dtype_policy.name for layer in task.model.layers]
    assert set(names[1:-1]) == {policy}


# c. rho = 0 and no mask: plain Keras, bit for bit.


def plain_and_wrapped(name, optimizer, callback, compile_args=None, **kwargs):
    """Logs of all batches and epochs of plain Keras, and of ours with rho = 0."""
    results = []
    for wrapped in (False, True):
        task = build(name)
        args = {**task.compile_args(), **(compile_args or {})}
        if wrapped:
            model = make(task, 0.0, optimizer=OPTIMIZERS[optimizer](), **args)
        else:
            model = task.model
            model.compile(OPTIMIZERS[optimizer](), **args)
        callbacks = [tf_admm.ADMMCallback(2)] if wrapped and callback else []
        history = []
        keras.utils.set_random_seed(7)
        data = (task.x, task.y)
        # The ADMM phase alone: at its end the mask cuts the weights.
        spy = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda b, logs, h=history: h.append(dict(logs)),
            on_epoch_end=lambda e, logs, h=history: h.append(dict(logs)),
        )
        model.fit(
            *data,
            epochs=2,
            batch_size=16,
            verbose=0,
            validation_data=data,
            callbacks=[*callbacks, spy],
            **kwargs,
        )
        results.append(history)
    return results


@pytest.mark.parametrize(
    "name, optimizer, jit_compile, callback",
    [
        ("mlp", "adam", False, True),
        pytest.param("regularized", "sgd", False, False, marks=slow),
        pytest.param("residual", "adamw", False, True, marks=slow),
        ("several", "adam", False, True),
        pytest.param("mlp", "ema", True, True, marks=slow),
        pytest.param("residual", "sgd", True, True, marks=slow),
        pytest.param("mlp", "nadam", True, True, marks=slow),
        pytest.param("several", "rmsprop", True, False, marks=slow),
        pytest.param("lstm", "adam", False, True, marks=slow),
        pytest.param("attention", "lion", False, True, marks=slow),
        pytest.param("subclassed", "global_clipnorm", False, False, marks=slow),
        pytest.param("depthwise", "accumulation", False, True, marks=slow),
    ],
)
@pytest.mark.filterwarnings("ignore:`fit` has pruned nothing")
def test_rho_zero_is_plain_keras(name, optimizer, jit_compile, callback):
    plain, wrapped = plain_and_wrapped(
        name, optimizer, callback, {"jit_compile": jit_compile}
    )
    assert_equal_logs(plain, wrapped)


@pytest.mark.slow
def test_rho_zero_is_nearly_plain_keras_when_xla_fuses_a_regularizer():
    """XLA rounds `g + 2 l w + 0 (w - z + u)` otherwise than `g + 2 l w`.

    Measured: the weights differ by at most 6e-8 after 12 steps.
    """
    plain, wrapped = plain_and_wrapped(
        "regularized", "nadam", True, {"jit_compile": True}
    )
    for expected, found in zip(plain, wrapped):
        for key, value in expected.items():
            assert found[key] == pytest.approx(value, rel=1e-6), key


def assert_equal_logs(plain, wrapped):
    assert len(plain) == len(wrapped) > 0
    for expected, found in zip(plain, wrapped):
        assert {k: v for k, v in found.items() if k not in LOG_KEYS} == expected


@pytest.mark.parametrize(
    "kind",
    [
        "sample_weight",
        pytest.param("steps_per_execution", marks=slow),
        pytest.param("class_weight", marks=slow),
        pytest.param("f16", marks=slow),
    ],
)
def test_rho_zero_is_plain_keras_weighted(kind):
    weights = np.linspace(0.0, 2.0, models.SAMPLES, dtype="float32")
    fit_args = {
        "sample_weight": {"sample_weight": weights},
        "class_weight": {"class_weight": {0: 0.5, 1: 2.0, 2: 1.0}},
    }.get(kind, {})
    compile_args = {"jit_compile": False, "weighted_metrics": ["accuracy"]}
    if kind == "steps_per_execution":
        compile_args["steps_per_execution"] = 4
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(F16 if kind == "f16" else F32)
    try:
        plain, wrapped = plain_and_wrapped(
            "mlp", "adam", True, compile_args, **fit_args
        )
    finally:
        keras.config.set_dtype_policy(before)
    assert_equal_logs(plain, wrapped)


# d. One trace.


@pytest.mark.parametrize(
    "jit_compile, optimizer", [(False, "adam"), (True, "sgd"), (False, "ema")]
)
def test_hand_over_traces_nothing(jit_compile, optimizer, monkeypatch):
    traces = []
    original = tf_admm.ADMMModel.train_step

    def counted(self, data):
        traces.append(1)
        return original(self, data)

    monkeypatch.setattr(tf_admm.ADMMModel, "train_step", counted)
    task = build("mlp")
    admm = make(task, optimizer=OPTIMIZERS[optimizer](), jit_compile=jit_compile)
    spy = Spy(lambda m: (len(traces), m.train_function, m.phase))
    fit(admm, task, 4, 2, [spy])
    counts, functions, phases = zip(*spy.seen)
    assert phases == ("admm", "retraining", "retraining", "retraining")
    assert counts[0] > 0
    assert len(set(counts)) == 1
    assert len({id(f) for f in functions}) == 1


# e. Two devices.

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


# f. The optimizer at the hand-over.

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
    plain.model.compile(O.Nadam(0.01), jit_compile=False, **plain.compile_args())
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


# g. Two fits.


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("name", ["mlp", pytest.param("residual", marks=slow)])
def test_two_fits(name, again):
    task = build(name)
    admm = make(task)
    fit(admm, task, 2, 2)
    assert_pruned(admm)
    masks = state(admm, "settled")
    admm.compile(
        O.AdamW(0.02, weight_decay=0.1), jit_compile=False, **task.compile_args()
    )
    support = Support()
    callbacks = [tf_admm.ADMMCallback(2)] if again else []
    history = fit(admm, task, 4, callbacks=[*callbacks, support], initial_epoch=2)
    assert history.epoch == [2, 3]
    assert support.batches == 12
    assert_pruned(admm)
    assert_same(masks, state(admm, "settled"))


# h. Callbacks of Keras that stop, restore and save.


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


# i. Weight averages.


@pytest.mark.parametrize("frequency", [None, 4])
def test_average_at_the_hand_over_is_not_zero(frequency):
    """Keras writes the averages over the weights as `fit` ends."""
    task = build("mlp")
    optimizer = O.Adam(
        0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=frequency
    )
    admm = make(task, optimizer=optimizer)
    spy = Spy(lambda m: m.model.get_weights())
    fit(admm, task, 2, 2, [spy])
    assert_pruned(admm)
    assert_same(spy.seen[-1], task.model.get_weights())


# j. The user's model.


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


@pytest.mark.parametrize("name", ["residual", pytest.param("subclassed", marks=slow)])
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


# k. The algebra of the updates, in NumPy.


def largest(v, k):
    """Indices of the `k` largest magnitudes, of equal ones the first."""
    mask = np.zeros(v.size, bool)
    mask[np.argsort(-np.abs(v.ravel()), kind="stable")[:k]] = True
    return mask.reshape(v.shape)


def norm(arrays):
    return np.sqrt(sum(np.sum(np.square(a, dtype=np.float64)) for a in arrays))


def everything(admm):
    names = ("z", "u", "settled")
    weights = values(constrained(admm.model))
    return {
        "w": weights,
        **{name: state(admm, name) for name in names},
        "rho": admm.rho,
        "phase": admm.phase,
        "residuals": admm.residuals,
        "steps": admm.steps_since_update,
    }


@pytest.mark.parametrize(
    "name, start, end",
    [
        ("mlp", 0.02, 0.3),
        ("mlp", 0.3, 0.02),
        pytest.param("depthwise", 0.05, 0.05, marks=slow),
    ],
)
def test_updates_against_numpy(name, start, end):
    task = build(name)
    rho = tf_admm.schedules.Cosine(start, end)
    admm = make(task, rho)
    initial = values(constrained(task.model))
    epochs = 4
    first = Spy(everything, "epoch_begin")
    before, after = Spy(everything), Spy(everything)
    ours = tf_admm.ADMMCallback(epochs, "epoch")
    fit(admm, task, epochs + 1, callbacks=[before, ours, after, first])

    for w, z, u in zip(initial, first.seen[0]["z"], first.seen[0]["u"]):
        np.testing.assert_array_equal(z, np.where(largest(w, kept(w.size)), w, 0))
        assert not np.any(u)
    rhos = [
        start + (end - start) * (1 - np.cos(np.pi * t / epochs)) / 2
        for t in range(epochs + 1)
    ]
    assert first.seen[0]["rho"] == pytest.approx(rhos[0])
    for e in range(epochs):
        old, new, logs = before.seen[e], after.seen[e], after.logs[e]
        assert old["rho"] == pytest.approx(rhos[e])
        assert old["steps"] == models.SAMPLES // 16
        last = e == epochs - 1
        cut = []
        for i, w in enumerate(old["w"]):
            v = w + old["u"][i]
            mask = largest(v, kept(v.size))
            np.testing.assert_array_equal(new["settled"][i], mask)
            z = np.where(mask, v, 0)
            cut.append(z)
            if last:
                np.testing.assert_array_equal(new["w"][i], np.where(mask, w, 0))
                np.testing.assert_array_equal(new["z"][i], new["w"][i])
                assert not np.any(new["u"][i])
            else:
                np.testing.assert_array_equal(new["w"][i], w)
                np.testing.assert_array_equal(new["z"][i], z)
                u = (v - z) * (rhos[e] / rhos[e + 1])
                np.testing.assert_allclose(new["u"][i], u, rtol=1e-6, atol=1e-9)
        gap = norm(w - z for w, z in zip(old["w"], cut))
        moved = norm(z - y for z, y in zip(cut, old["z"]))
        largest_norm = max(norm(old["w"]), norm(cut))
        assert logs["admm_primal"] == pytest.approx(gap, rel=1e-5)
        assert logs["admm_dual"] == pytest.approx(rhos[e] * moved, rel=1e-5)
        assert logs["admm_primal_rel"] == pytest.approx(gap / largest_norm, rel=1e-5)
        assert logs["admm_dual_rel"] == pytest.approx(moved / norm(cut), rel=1e-5)
        parts = zip(old["w"], old["u"], old["settled"])
        pull = norm((w + u) * (1 - settled) for w, u, settled in parts)
        penalty = rhos[e] / 2 * pull**2
        assert logs["admm_penalty"] == pytest.approx(penalty, rel=1e-5)
        assert logs["rho"] == pytest.approx(rhos[e + 1])
        if last:
            assert new["phase"] == "retraining" and new["rho"] == 0.0
            assert set(new["residuals"].values()) == {0.0}


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


# l. A `.keras` file of a run goes on bit for bit.


class SaveAt(keras.callbacks.Callback):
    def __init__(self, epoch, path):
        super().__init__()
        self.epoch, self.path = epoch, path

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.save(self.path)


@pytest.mark.parametrize(
    "name, epoch, position, update_freq",
    [
        pytest.param("mlp", 0, "after", "epoch", marks=slow),
        pytest.param("nested", 1, "before", "epoch", marks=slow),
        ("subclassed", 1, "before", 4),
        pytest.param("mlp", 2, "after", 4, marks=slow),
        pytest.param("mlp", 1, "after", "epoch", marks=slow),
        pytest.param("nested", 0, "after", 4, marks=slow),
        pytest.param("nested", 3, "before", "epoch", marks=slow),
        pytest.param("subclassed", 0, "before", "epoch", marks=slow),
        pytest.param("subclassed", 2, "before", "epoch", marks=slow),
        pytest.param("subclassed", 3, "after", 4, marks=slow),
    ],
)
def test_saved_run_goes_on(name, epoch, position, update_freq, tmp_path):
    """3 epochs of ADMM, 2 of retraining; all models have dropout."""
    path = tmp_path / "run.keras"
    task = build(name)
    admm = make(task, tf_admm.schedules.Cosine(0.01, 0.1), optimizer=O.Adam(0.01))
    saving, ours = SaveAt(epoch, path), tf_admm.ADMMCallback(3, update_freq)
    order = [saving, ours] if position == "before" else [ours, saving]
    data = dataset(task)
    undisturbed = admm.fit(
        data, epochs=5, shuffle=False, verbose=0, callbacks=order
    ).history

    loaded = keras.saving.load_model(path)
    assert type(loaded) is tf_admm.ADMMModel
    assert type(loaded.model) is type(task.model)
    history = loaded.fit(
        data,
        epochs=5,
        initial_epoch=epoch + 1,
        shuffle=False,
        verbose=0,
        callbacks=[tf_admm.ADMMCallback(3, update_freq)],
    ).history
    assert_same(admm.get_weights(), loaded.get_weights())
    assert_same(admm.model.get_weights(), loaded.model.get_weights())
    assert_same(values(admm.optimizer.variables), values(loaded.optimizer.variables))
    for key, found in history.items():
        assert found == undisturbed[key][epoch + 1 :], key
    assert_pruned(loaded)


def test_the_progress_bar_shows_what_a_person_reads(capsys):
    """The logs hold all keys, for `History` and callbacks listed after ours."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    admm = tf_admm.ADMMModel(model, Sparsity(0.5), rho=0.1)
    admm.compile("sgd", "mse", jit_compile=False)
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
