"""Every kind of set through `fit`: ADMM, hand-over, retraining, going on."""

import keras
import numpy as np
import oracles
import pytest
from keras import layers
from oracles import Units
from test_constraints import blocks

import tf_admm
from tf_admm.admm import slot
from tf_admm.constraints import BlockSparsity
from tf_admm.constraints import ChannelSparsity
from tf_admm.constraints import Clusters
from tf_admm.constraints import ColumnSparsity
from tf_admm.constraints import FilterSparsity
from tf_admm.constraints import GlobalSparsity
from tf_admm.constraints import Intersection
from tf_admm.constraints import KernelSparsity
from tf_admm.constraints import Levels
from tf_admm.constraints import NMSparsity
from tf_admm.constraints import PatternSparsity
from tf_admm.constraints import Sparsity
from tf_admm.constraints import UnitSparsity
from tf_admm.constraints.patterns import FOUR_OF_NINE
from tf_admm.structure import kernels

slow = pytest.mark.slow
ALL, CONVOLUTIONS, MATRICES = "conv|up|dw|mix|fc", "conv|up|dw", "conv|up|mix|fc"
#: Sets that are made of the same parts as another.
NEAR = ("channels", "columns", "kernels", "patterns", "filters", "two_of_four")
NEAR += ("ternary", "clusters")
#: Which layers get which set, and the oracle that each kernel must meet.
SETS = {
    "filters": (ALL, FilterSparsity(0.5), Units(0.5, lambda i, _: i[-1])),
    "channels": (MATRICES, ChannelSparsity(0.5), Units(0.5, lambda i, _: i[-2])),
    "columns": (MATRICES, ColumnSparsity(0.7), Units(0.7, lambda i, _: i[:-1])),
    "kernels": (CONVOLUTIONS, KernelSparsity(0.5), Units(0.5, lambda i, _: i[-2:])),
    "blocks": (MATRICES, BlockSparsity(0.8, (4, 1)), Units(0.8, blocks((4, 1)))),
    "two_of_four": (MATRICES, NMSparsity(2, 4), oracles.NOfM(2, 4, -2)),
    "patterns": (
        CONVOLUTIONS,
        PatternSparsity(connectivity=0.25),
        oracles.Patterns(FOUR_OF_NINE, 0.25),
    ),
    "ternary": (ALL, Levels.ternary(), oracles.Scaled((-1, 0, 1))),
    "per_channel": (
        ALL,
        Levels.uniform(3, per_channel=True),
        oracles.Scaled(range(-3, 4), per_channel=True),
    ),
    "clusters": (ALL, Clusters(4), oracles.FewValues(4)),
    "sparse_binary": (
        ALL,
        Intersection(Sparsity(0.8), Levels.binary()),
        oracles.Both(Units(0.8, lambda i, _: i), oracles.Scaled((-1, 1))),
    ),
}


def build(constraints, seed=0):
    """A layer of each kind whose kernel has an axis order of its own."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    x = layers.Conv2DTranspose(4, 3, activation="relu", name="up")(x)
    x = layers.DepthwiseConv2D(3, name="dw")(x)
    x = layers.EinsumDense("abcd,de->abce", (4, 4, 8), name="mix")(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    x = layers.Dense(12, "relu", name="fc")(x)
    model = keras.Model(inputs, layers.Dense(3, name="head")(x))
    admm = tf_admm.ADMMModel(model, constraints, tf_admm.schedules.Cosine(1e-3, 1e-1))
    compile_again(admm)
    return admm


def compile_again(admm):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.05)
    admm.compile(optimizer, loss, jit_compile=False)


def fit(admm, epochs, initial_epoch=0, callbacks=()):
    x = np.random.default_rng(0).normal(size=(64, 6, 6, 4)).astype("float32")
    y = np.digitize(x[:, :, :, 0].mean((1, 2)), [-0.1, 0.1])
    admm.fit(
        x,
        y,
        epochs=epochs,
        initial_epoch=initial_epoch,
        batch_size=16,
        shuffle=False,
        verbose=0,
        callbacks=[tf_admm.ADMMCallback(2), *callbacks],
    )


class Traces(keras.callbacks.Callback):
    """Kernels of some layers as each epoch ends."""

    def __init__(self, key):
        super().__init__()
        self.key = key
        self.kernels = []

    def on_epoch_end(self, epoch, logs=None):
        self.kernels.append(canonical(self.model.model, self.key))


def canonical(model, key):
    """The kernels that a key covers, in the order that the sets know."""
    return [
        np.array(kernel.canonical(kernel.variable))
        for kernel in kernels.find(model)
        if kernel.path.split("/")[0] in key.split("|")
    ]


@pytest.mark.parametrize(
    "key, constraint, oracle",
    [
        pytest.param(*row, marks=slow if name in NEAR else (), id=name)
        for name, row in SETS.items()
    ],
)
def test_training_ends_in_the_set(key, constraint, oracle):
    admm, traces = build({key: constraint}), Traces(key)
    fit(admm, 4, callbacks=[traces])
    assert admm.phase == "retraining"
    found = canonical(admm.model, key)
    assert len(found) == len(key.split("|"))
    for w in found:
        assert oracle.member(w)
    # In ADMM it was not yet in the set, and retraining moves what is free.
    before, cut, _, last = traces.kernels
    assert not any(oracle.member(w) for w in before)
    for a, b in zip(cut, last):
        assert np.any(a != b) and np.any(b)


def test_a_budget_over_all_layers():
    admm = build({"head": None, ".*": GlobalSparsity(0.9)})
    fit(admm, 4)
    found = canonical(admm.model, ALL)
    size = sum(w.size for w in found)
    assert sum(np.count_nonzero(w) for w in found) == oracles.kept_naive(0.9, size)
    rates = [np.count_nonzero(w) / w.size for w in found]
    assert max(rates) > 2 * min(rates)
    assert np.all(admm.model.get_layer("head").kernel != 0)


def test_units_are_dead_on_both_sides():
    units = UnitSparsity(0.5)
    admm = build({"fc": units, "head": units})
    fit(admm, 4)
    fc, head = (admm.model.get_layer(name).kernel for name in ("fc", "head"))
    dead = np.all(np.array(fc) == 0, axis=0)
    assert dead.sum() == 6
    np.testing.assert_array_equal(dead, np.all(np.array(head) == 0, axis=1))


def shared_units():
    units = UnitSparsity(0.5)
    everything = GlobalSparsity(0.8)
    return {"fc": units, "head": units, "conv|up": everything, "dw": Levels.ternary()}


GOING_ON = {
    "coupled": shared_units,
    "values": lambda: Intersection(Sparsity(0.8), Levels.uniform(3, per_channel=True)),
    "clusters": lambda: {"conv": PatternSparsity(), ".*": Clusters(3)},
}


@pytest.mark.parametrize(
    "make, at",
    [
        pytest.param(make, at, marks=() if (name, at) == ("coupled", 3) else slow)
        for name, make in GOING_ON.items()
        for at in (1, 3)
    ],
)
def test_saved_run_goes_on(make, at, tmp_path):
    """Bit for bit, in ADMM and in retraining."""
    undisturbed = build(make())
    (fit_part if at == 1 else fit)(undisturbed, at)
    path = tmp_path / "run.keras"
    undisturbed.save(path)
    loaded = keras.saving.load_model(path)
    assert loaded.get_config()["constraints"] == undisturbed.get_config()["constraints"]
    for admm in (undisturbed, loaded):
        fit(admm, 4, initial_epoch=at)
    for a, b in zip(undisturbed.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(a, b)


@slow
def test_a_large_kernel_of_few_values_is_finished():
    """Whose projection is not found a second time, among so many weights."""
    model = keras.Sequential([keras.Input((784,)), layers.Dense(100)])
    values = (
        Clusters(16),
        Levels.uniform(4, per_channel=True),
        Intersection(Sparsity(0.9), Levels.uniform(8, per_channel=True)),
    )
    for constraint in values:
        admm = tf_admm.ADMMModel(keras.models.clone_model(model), constraint)
        admm.finalize()
        assert admm.phase == "retraining"


@pytest.mark.parametrize(
    "constraint",
    [
        Sparsity(0.5),
        NMSparsity(2, 4),
        GlobalSparsity(0.5),
        Levels.ternary(),
        Intersection(Sparsity(0.5), Levels.binary()),
    ],
)
def test_what_is_not_in_its_set_is_an_error(constraint, monkeypatch):
    """Were the weights not cut, it would be noticed, not hoped for."""
    admm = build({MATRICES: constraint})
    monkeypatch.setattr(slot.Slot, "trim", lambda self: None)
    with pytest.raises(RuntimeError, match="to satisfy .*Received: .*nonzeros"):
        admm.finalize()


def test_a_run_is_loaded_whatever_is_frozen_by_then(tmp_path):
    """And whatever the names of its layers mean as regular expressions."""
    x = inputs = keras.Input((4,))
    for name in ("a.b", "a_b", "c"):
        x = layers.Dense(4, name=name)(x)
    model = keras.Model(inputs, x)
    admm = tf_admm.ADMMModel(model, {"c": Sparsity(0.25), ".*": Sparsity(0.5)})
    admm.finalize()
    model.get_layer("a.b").trainable = False
    path = tmp_path / "run.keras"
    admm.save(path)
    loaded = keras.saving.load_model(path)
    for a, b in zip(admm.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert tf_admm.allocate(model, ratio=2).keys() == {"a_b/kernel", "c/kernel"}


def fit_part(admm, epochs):
    """The first epochs of a longer run."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch + 1 >= epochs

    with pytest.warns(UserWarning, match="ended in the ADMM phase"):
        fit(admm, 4, callbacks=[Stop()])
