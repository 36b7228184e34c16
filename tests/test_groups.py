"""Sets over channel groups: the projection, training in them, files, bad input."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import test_channel_groups as graphs
from keras import layers
from sweeps import few

import tf_admm
from tf_admm.constraints import GroupSparsity
from tf_admm.constraints import Sparsity
from tf_admm.structure import members

CASES = ["same_batch_norm_swish", "residual", "joined", "multiplier", "separable"]
CASES += ["grouped", "attention", "lstm", "shared", "nested", "depthwise_norm"]
CASES += ["no_scale", "tokens"]
TRAINED = ["residual", "joined", "squeeze_and_excite", "no_scale", "depthwise_norm"]
TRAINED += ["attention", "gru"]


def made(case):
    return graphs.made(graphs.CASES[case][0])


def of_groups(case, fraction):
    """The set over all groups of a model, its members' values, and the groups."""
    model = made(case)
    matched = members.match(model, GroupSparsity(fraction))
    ws = [tf.constant(np.array(member.variable)) for member, _ in matched]
    return matched[0][1], ws, matched


def squared_norms(group, values):
    """By the docstring, entry by entry: what each channel adds to the norm."""
    total = np.zeros(group.channels)
    for part in group.producers:
        if id(part.variable) not in values:
            continue
        w = values[id(part.variable)].astype("float64")
        rows = [
            np.take(w, part.index[channel], axis=part.axis).ravel()
            for channel in range(group.channels)
        ]
        mean = np.mean(np.square(rows))
        total += [np.sum(np.square(row)) / (len(row) * mean or 1) for row in rows]
    return total


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fraction", few([0.0, 0.25, 0.5], 0.5))
def test_the_nearest_member(case, fraction):
    together, ws, matched = of_groups(case, fraction)
    values = {id(m.variable): w.numpy() for (m, _), w in zip(matched, ws)}
    masks = dict(zip(values, together.masks(ws)))
    for group in matched.groups:
        dead = round(fraction * group.channels)
        norms = squared_norms(group, values)
        choices = itertools.combinations(range(group.channels), dead)
        best = min(choices, key=lambda choice, n=norms: n[list(choice)].sum())
        for part in group.producers:
            if id(part.variable) in masks:
                mask = np.moveaxis(masks[id(part.variable)].numpy(), part.axis, 0)
                for channel in range(group.channels):
                    got = mask[part.index[channel]]
                    assert (not got.any()) if channel in best else got.all()


@pytest.mark.parametrize(
    "case", few(CASES, "same_batch_norm_swish", "attention", "lstm", "shared")
)
def test_the_contract(case):
    """Idempotent, identity on members, eager as compiled, dtypes, ties."""
    together, ws, _ = of_groups(case, 0.5)
    settled = together.settle(ws)
    zs = [together.restrict(w, s) for w, s in zip(ws, settled)]
    assert together.holds(zs, settled) and not together.holds(ws, settled)
    for z, again in zip(zs, together.settle(zs)):
        np.testing.assert_array_equal(together.restrict(z, again), z)
    for jit in (False, True):
        compiled = tf.function(together.masks, jit_compile=jit)(ws)
        for mask, expected in zip(compiled, together.masks(ws)):
            np.testing.assert_array_equal(mask, expected)
    low = together.settle([tf.cast(w, "bfloat16") for w in ws])
    assert all(s.dtype == "bool" for s in low)
    ties = [tf.ones_like(w) for w in ws]
    for scores in together.scores(ties):
        assert len(np.unique(np.round(np.array(scores), 4))) == 1
    masks = together.masks(ties)
    assert together.holds([tf.cast(m, "float32") for m in masks], masks)


def fitted(case, constraint, optimizer=None, **kwargs):
    """A model after two epochs of ADMM and two of retraining, and its data."""
    model = made(case)
    x = graphs.inputs_of(model, rows=16)
    y = np.arange(16) % 3
    admm = tf_admm.ADMMModel(model, constraint, rho=1e-2)
    admm.compile(
        optimizer or keras.optimizers.AdamW(1e-2, weight_decay=0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    callbacks = [tf_admm.ADMMCallback(admm_epochs=2)]
    kwargs = {"epochs": 4, "batch_size": 8, "verbose": 0} | kwargs
    admm.fit(x, y, callbacks=callbacks, **kwargs)
    return admm, x


@pytest.mark.parametrize("case", few(TRAINED, "squeeze_and_excite", "attention"))
def test_trained_and_shrunk(case):
    admm, x = fitted(case, GroupSparsity(0.5))
    model = admm.model
    assert admm.phase == "retraining"
    for group in tf_admm.channel_groups(model, verbose=0).prunable:
        assert group.dead().sum() == round(0.5 * group.channels), group.name
    expected = np.array(model(x))
    small, report = tf_admm.shrink(model)
    np.testing.assert_allclose(
        np.array(small(x)), expected, atol=1e-5 * max(1, np.abs(expected).max())
    )
    for name, channels in graphs.CASES[case][1].items():
        group = tf_admm.channel_groups(model, verbose=0).named(name)
        left, total = report.units[group.producers[0].path]
        assert left * channels == total * (channels - round(0.5 * channels))


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.optimizers.Adam(1e-2, use_ema=True, ema_overwrite_frequency=3),
        pytest.param(
            keras.optimizers.Lamb(1e-2, weight_decay=0.1), marks=pytest.mark.slow
        ),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_no_optimizer_moves_a_dead_channel(optimizer):
    admm, _ = fitted("residual", GroupSparsity(0.5), optimizer)
    for group in tf_admm.channel_groups(admm.model, verbose=0).prunable:
        assert group.dead().sum() == round(0.5 * group.channels), group.name


def test_some_groups_and_some_kernels():
    constraint = {"inside": GroupSparsity(0.5), "b": Sparsity(0.75), "head": None}
    admm, _ = fitted("residual", constraint)
    groups = tf_admm.channel_groups(admm.model, verbose=0)
    dead = {group.name: int(group.dead().sum()) for group in groups}
    assert dead["inside"] == 3 and dead["a"] == 0
    kernel = np.array(admm.model.get_layer("b").kernel)
    assert np.count_nonzero(kernel) == kernel.size // 4


@pytest.mark.parametrize(
    "key, expected",
    [
        ("a", {"a"}),
        ("back/kernel", {"a"}),
        ("a|b", {"a", "b"}),
        (".*", {"a", "inside", "b"}),
        ("in.*", {"inside"}),
    ],
)
def test_keys(key, expected):
    plan = tf_admm.plan(made("residual"), {key: GroupSparsity(0.5)})
    assert {choice.group.name for choice in plan.groups} == expected


@pytest.mark.slow
def test_files(tmp_path):
    admm, x = fitted("joined", {"a|more": GroupSparsity(0.5), "b": Sparsity(0.5)})
    admm.save(tmp_path / "run.keras")
    admm.save_weights(tmp_path / "run.weights.h5")
    again = keras.saving.load_model(tmp_path / "run.keras")
    new, _ = fitted("joined", {"a|more": GroupSparsity(0.5), "b": Sparsity(0.5)})
    for w in new.model.weights:
        w.assign(w + 1)
    new.load_weights(tmp_path / "run.weights.h5")
    for other in (again, new):
        for a, b in zip(admm.variables, other.variables, strict=True):
            np.testing.assert_array_equal(np.array(a), np.array(b))
    other, _ = fitted("joined", {"a|more": GroupSparsity(0.25), "b": Sparsity(0.5)})
    with pytest.raises(ValueError, match="same model and constraints"):
        other.load_weights(tmp_path / "run.weights.h5")


def test_one_constraint_under_several_keys_is_loaded_in_order(tmp_path):
    """Kernels that share a set, with another between them, are not mixed up."""
    inputs = keras.Input((6,))
    x = inputs
    for name, units in (("a", 5), ("b", 4), ("c", 7)):
        x = layers.Dense(units, name=name)(x)
    model = keras.Model(inputs, x)
    shared = tf_admm.constraints.GlobalSparsity(0.5)
    admm = tf_admm.ADMMModel(model, {"a": shared, "b": Sparsity(0.5), "c": shared})
    admm.begin()
    admm.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    for a, b in zip(admm.variables, again.variables, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


@pytest.mark.parametrize("policy", few(["mixed_float16", "float32"], "mixed_float16"))
def test_precision_and_one_trace(policy):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((9, 9, 3))
    x = layers.Conv2D(8, 3, padding="same", dtype=policy, name="a")(inputs)
    x = layers.ReLU(dtype=policy)(layers.BatchNormalization(dtype=policy)(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, dtype=policy, name="b")(x))
    model = keras.Model(inputs, layers.Dense(3, dtype="float32", name="head")(x))
    admm = tf_admm.ADMMModel(model, GroupSparsity(0.5), rho=1e-2)
    admm.compile("adam", "mse", jit_compile=True)
    x = np.random.default_rng(0).normal(size=(16, 9, 9, 3)).astype("float32")
    admm.fit(
        x,
        np.zeros((16, 3)),
        epochs=3,
        batch_size=8,
        verbose=0,
        callbacks=[tf_admm.ADMMCallback(admm_epochs=2)],
    )
    assert admm.train_function is not None
    for group in tf_admm.channel_groups(model, verbose=0).prunable:
        assert group.dead().sum() == group.channels // 2


def test_zeros_stay_without_the_wrapper():
    admm, x = fitted("residual", GroupSparsity(0.5))
    model = tf_admm.freeze_sparsity(admm.model)
    model.compile(keras.optimizers.AdamW(1e-2, weight_decay=0.1), "mse")
    model.fit(x, np.ones((16, 3)), epochs=2, verbose=0)
    for group in tf_admm.channel_groups(model, verbose=0).prunable:
        assert group.dead().sum() == round(0.5 * group.channels), group.name


# Bad input.


def subclassed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = layers.Dense(4)

        def call(self, x):
            return self.hidden(x)

    model = Own()
    model(np.zeros((1, 3), "float32"))
    return model


def residual():
    return made("residual")


def untrainable():
    model = residual()
    model.get_layer("back").trainable = False
    return model


@pytest.mark.parametrize(
    "build, constraint, words",
    [
        (subclassed, GroupSparsity(0.5), ["functional or sequential", "Own"]),
        (residual, GroupSparsity(1.0), ["at least one channel", "'a' of 8"]),
        (residual, {"inside": GroupSparsity(0.95)}, ["one channel", "'inside' of 6"]),
        (residual, {"head": GroupSparsity(0.5)}, ["'head'", "an output of the model"]),
        (
            residual,
            {"a": GroupSparsity(0.5), "back": Sparsity(0.5)},
            ["one constraint", "'a'", "back/kernel"],
        ),
        (
            residual,
            {"a": GroupSparsity(0.5), "back": GroupSparsity(0.25)},
            ["one constraint", "'a'"],
        ),
        (untrainable, {"a": GroupSparsity(0.5)}, ["back/kernel", "not trainable"]),
        (residual, {"nowhere": GroupSparsity(0.5)}, ["'nowhere'", "matches none"]),
    ],
)
def test_bad_input(build, constraint, words):
    model = build()
    before = [np.array(w) for w in model.weights]
    with pytest.raises(ValueError) as error:
        tf_admm.ADMMModel(model, constraint)
    for word in words:
        assert word in str(error.value)
    for old, w in zip(before, model.weights):
        np.testing.assert_array_equal(old, np.array(w))


@pytest.mark.parametrize("fraction", [-0.1, 1.1, "half", None, np.nan])
def test_bad_fractions(fraction):
    with pytest.raises(ValueError, match="`fraction`"):
        GroupSparsity(fraction)


def test_it_is_no_projection_by_itself():
    with pytest.raises(ValueError, match="ADMMModel"):
        GroupSparsity(0.5)(np.ones((3, 3)))


class Own(layers.Layer):
    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 8), name="w")

    def call(self, x):
        return keras.ops.matmul(x, self.w)


class OwnKind(tf_admm.kinds.Linear):
    kernel_name, bias_name, units_name = "w", None, "width"


class Wrong(tf_admm.kinds.Linear):
    kernel_name = "nothing"


def test_a_layer_of_ones_own():
    class Wide(layers.Layer):
        def __init__(self, width, **kwargs):
            super().__init__(**kwargs)
            self.width = width

        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], self.width), name="w")

        def call(self, x):
            return keras.ops.matmul(x, self.w)

        def get_config(self):
            return {**super().get_config(), "width": self.width}

    def build():
        inputs = keras.Input((6,))
        x = layers.ReLU()(Wide(8, name="own")(inputs))
        return keras.Model(inputs, layers.Dense(3, name="head")(x))

    assert not tf_admm.channel_groups(build(), verbose=0).prunable
    tf_admm.register_layer(Wide, OwnKind)
    model = graphs.made(build)
    (group,) = tf_admm.channel_groups(model, verbose=0).prunable
    assert group.name == "own" and group.channels == 8
    graphs.kill(group, [1, 2, 3])
    small, report = tf_admm.shrink(model)
    assert small.get_layer("own").width == 5
    x = graphs.inputs_of(model)
    np.testing.assert_allclose(np.array(small(x)), np.array(model(x)), atol=1e-5)


@pytest.mark.parametrize(
    "layer_class, kind", [(3, OwnKind), (Own(), OwnKind), (Own, layers.Dense), (Own, 3)]
)
def test_wrongly_registered(layer_class, kind):
    with pytest.raises(TypeError, match="Expected `(layer_class|kind)` to be a sub"):
        tf_admm.register_layer(layer_class, kind)


def test_registered_with_names_that_are_not_there():
    tf_admm.register_layer(Own, Wrong)
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(3)(Own(name="own")(inputs)))
    with pytest.raises(ValueError, match="'own'.*Wrong.*'nothing'"):
        tf_admm.ADMMModel(model, GroupSparsity(0.5))


# Kernels that make channels of several groups.


def halves():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    hidden = layers.Dense(16, "relu", name="d")(inputs)
    parts = keras.ops.split(hidden, 2, axis=-1)
    outputs = [layers.Dense(2, name=n)(part) for n, part in zip("pq", parts)]
    return keras.Model(inputs, layers.Concatenate()(outputs))


@pytest.mark.parametrize("rates", [(0.25, 0.75), (0.25, None), (None, 0.75)])
def test_each_group_of_a_kernel_gets_its_own(rates):
    keys = {"d": rates[0], "d#2": rates[1]}
    sets = {k: GroupSparsity(rate) for k, rate in keys.items() if rate is not None}
    admm = tf_admm.ADMMModel(halves(), sets, rho=0.1)
    admm.finalize()
    dead = np.all(np.array(admm.model.get_layer("d").kernel) == 0, axis=0)
    expected = [round(8 * (rate or 0.0)) for rate in rates]
    assert [int(part.sum()) for part in np.split(dead, 2)] == expected


@pytest.mark.parametrize("method", ["uniform", "magnitude"])
def test_what_is_allocated_is_what_is_pruned(method):
    """`a` makes the first half of the channels that `b` makes."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="a")(inputs)
    y = layers.Conv2D(8, 3, 2, padding="same", name="b")(x)
    padded = keras.ops.pad(x[:, ::2, ::2], [[0, 0], [0, 0], [0, 0], [0, 4]])
    pooled = layers.GlobalAveragePooling2D()(layers.Add()([y, padded]))
    model = keras.Model(inputs, layers.Dense(2, name="head")(pooled))
    options = {"structure": "channels", "method": method, "verbose": 0}
    for macs in (4000, 6000, 8000):
        sets = tf_admm.allocate(model, macs=macs, **options)
        got = {g.name: g.dead().sum() for g in pruned_groups(model, sets)}
        assert got == {
            name: round(each.fraction * channels(model, name))
            for name, each in sets.items()
        }


def pruned_groups(model, sets):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    tf_admm.ADMMModel(copy, sets, rho=0.0).finalize()
    return [g for g in tf_admm.channel_groups(copy, verbose=0) if g.name in sets]


def channels(model, name):
    groups = tf_admm.channel_groups(model, verbose=0)
    return next(group.channels for group in groups if group.name == name)
