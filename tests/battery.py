"""Of whole runs on any backend: short fits, spies, and what NumPy makes of them."""

import contextlib

import keras
import numpy as np

import models
import tf_admm
from models import ALL_BUT_HEAD
from tf_admm.constraints import Sparsity

BACKEND = keras.config.backend()
#: Of `compile`. What XLA makes for TensorFlow takes seconds, and few tests are of it;
#: Keras compiles nothing for PyTorch unless told to.
JIT = BACKEND == "jax"
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
F32, F16, BF16 = "float32", "mixed_float16", "mixed_bfloat16"
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


def build(name, seed=0):
    """A task of `models`."""
    keras.utils.set_random_seed(seed)
    return getattr(models, name)()


@contextlib.contextmanager
def policy(name):
    """That of the layers made in it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make(task, rho=0.01, optimizer="adam", constraints=None, **kwargs):
    """A compiled `ADMMModel`; `kwargs` go to `compile`."""
    admm = tf_admm.ADMMModel(
        task.model, constraints or {ALL_BUT_HEAD: Sparsity(SPARSITY)}, rho=rho
    )
    kwargs = {"jit_compile": JIT, **task.compile_args(), **kwargs}
    admm.compile(optimizer, **kwargs)
    return admm


def fit(admm, task, epochs, admm_epochs=None, callbacks=(), **kwargs):
    """`fit` on arrays; the callbacks stand after ours."""
    if admm_epochs:
        callbacks = [tf_admm.ADMMCallback(admm_epochs), *callbacks]
    kwargs = {"batch_size": 16, "shuffle": False, "verbose": 0, **kwargs}
    return admm.fit(task.x, task.y, epochs=epochs, callbacks=list(callbacks), **kwargs)


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
    """Arrays of their own, which later steps leave alone."""
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def kept(size, sparsity=SPARSITY):
    return size - round(sparsity * size)


def largest(v, k):
    """Where the `k` largest magnitudes are, of equal ones the first."""
    mask = np.zeros(v.size, bool)
    mask[np.argsort(-np.abs(v.ravel()), kind="stable")[:k]] = True
    return mask.reshape(v.shape)


def state(admm, name):
    """z, u or mask of each kernel."""
    return values(getattr(slot, name) for slot in admm._slots)


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


class SaveAt(keras.callbacks.Callback):
    """Saves the model as an epoch ends."""

    def __init__(self, epoch, path):
        super().__init__()
        self.epoch, self.path = epoch, path

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.save(self.path)
