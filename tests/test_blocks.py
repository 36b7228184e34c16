"""Channels inside layers of one's own, which hold others."""

import keras
import numpy as np
import pytest
import test_channel_groups as graphs
from keras import layers
from keras import ops

import tf_admm

SIZE, WIDTH = 12, 8


class Block(layers.Layer):
    """A layer with a weight of its own, so that its calls are not laid out flat."""

    def __init__(self, hidden=SIZE, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.make()

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")
        self.build_parts(shape)

    def build_parts(self, shape):
        self.up.build(shape)
        self.down.build((*shape[:-1], self.hidden))

    def make(self):
        self.up = layers.Dense(self.hidden, activation="gelu", name="up")
        self.down = layers.Dense(WIDTH, name="down")

    def call(self, x):
        return x * self.gain + self.inside(x)

    def inside(self, x):
        return self.down(self.up(x))

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden}


class Gated(Block):
    """Causal, over as many positions as there are."""

    def make(self):
        super().make()
        self.gate = layers.Dense(self.hidden, activation="silu", name="gate")

    def build_parts(self, shape):
        super().build_parts(shape)
        self.gate.build(shape)

    def inside(self, x):
        rows, length = ops.shape(x)[:2]
        mask = ops.broadcast_to(
            ops.tril(ops.ones((length, length))), (rows, length, length)
        )
        return self.down(self.up(x) * self.gate(ops.matmul(mask, x)))


class Ranged(layers.Layer):
    """No weight of its own; a range over a size that is open."""

    def __init__(self, hidden=SIZE, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.up = layers.Dense(hidden, activation="relu", name="up")
        self.down = layers.Dense(WIDTH, name="down")

    def build(self, shape):
        self.up.build(shape)
        self.down.build((*shape[:-1], self.hidden))

    def call(self, x):
        places = ops.arange(0, ops.shape(x)[1], dtype="int32")
        weights = ops.cast(places[:, None] >= places, "float32")
        return self.down(self.up(ops.einsum("ij,bjc->bic", weights, x)))

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden}


class Caching(layers.Layer):
    """It returns what may be a cache, and `None` where none is asked for."""

    def call(self, x, cache=None):
        return x * 2.0, cache


class Ragged(Ranged):
    """It holds a layer that returns `None`, too, as decoders of keras-hub do."""

    def __init__(self, hidden=SIZE, **kwargs):
        super().__init__(hidden, **kwargs)
        self.caching = Caching()

    def call(self, x):
        y, _ = self.caching(x)
        return super().call(y)


class Halved(Block):
    """The entry of the config is twice the number of channels."""

    def make(self):
        self.up = layers.Dense(self.hidden // 2, activation="relu", name="up")
        self.down = layers.Dense(WIDTH, name="down")

    def build_parts(self, shape):
        self.up.build(shape)
        self.down.build((*shape[:-1], self.hidden // 2))


class Convolved(Block):
    """With statistics, and a kernel for each channel."""

    def make(self):
        self.up = layers.Conv1D(self.hidden, 3, padding="same", name="up")
        self.norm = layers.BatchNormalization(name="norm")
        self.depthwise = layers.DepthwiseConv1D(3, padding="same", name="depthwise")
        self.down = layers.Conv1D(WIDTH, 1, name="down")

    def build_parts(self, shape):
        super().build_parts(shape)
        self.norm.build((*shape[:-1], self.hidden))
        self.depthwise.build((*shape[:-1], self.hidden))

    def inside(self, x):
        return self.down(self.depthwise(ops.relu(self.norm(self.up(x)))))


class Twice(Block):
    """Two stacks of one size, of which one is called twice."""

    def make(self):
        super().make()
        self.up2 = layers.Dense(self.hidden, activation="relu", name="up2")
        self.down2 = layers.Dense(WIDTH, name="down2")

    def build_parts(self, shape):
        super().build_parts(shape)
        self.up2.build(shape)
        self.down2.build((*shape[:-1], self.hidden))

    def inside(self, x):
        y = super().inside(super().inside(x))
        return self.down2(self.up2(y))


class Attending(Block):
    """Heads of an attention that it holds, as many as its config says."""

    def make(self):
        self.attention = layers.MultiHeadAttention(self.hidden, 4, name="attention")

    def build_parts(self, shape):
        self.attention.build(shape, shape)

    def inside(self, x):
        return self.attention(x, x)


class Normed(Block):
    """A normalisation over the hidden units needs all of them."""

    def make(self):
        super().make()
        self.norm = layers.LayerNormalization(name="norm")

    def build_parts(self, shape):
        super().build_parts(shape)
        self.norm.build((*shape[:-1], self.hidden))

    def inside(self, x):
        return self.down(self.norm(self.up(x)))


class Numbered(Block):
    """Its code knows a number of channels that its config doesn't set."""

    def inside(self, x):
        y = self.up(x)
        return self.down(ops.concatenate([y[..., :4], y[..., 4:] * 2], axis=-1))


class Sizeless:
    """No entry of the config sets the number."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def get_config(self):
        config = super().get_config()
        del config["hidden"]
        return config


class Fixed(Sizeless, Block):
    pass


class Unmakeable(Block):
    def get_config(self):
        return {**super().get_config(), "shape": self.gain.shape[0]}


#: Layer: the weights of its group, and how many channels it has; `None` for no group.
CASES = {
    Block: ({"up/kernel", "up/bias"}, SIZE),
    Gated: ({"up/kernel", "up/bias", "gate/kernel", "gate/bias"}, SIZE),
    Ranged: ({"up/kernel", "up/bias"}, SIZE),
    Ragged: ({"up/kernel", "up/bias"}, SIZE),
    Halved: ({"up/kernel", "up/bias"}, SIZE // 2),
    Convolved: (
        {"up/kernel", "up/bias", "norm/gamma", "norm/beta"}
        | {"depthwise/kernel", "depthwise/bias"},
        SIZE,
    ),
    Twice: ({"up/kernel", "up/bias", "up2/kernel", "up2/bias"}, SIZE),
    Attending: (
        {
            f"attention/{part}/{weight}"
            for part in ("query", "key", "value")
            for weight in ("kernel", "bias")
        },
        SIZE,
    ),
    Normed: None,
    Numbered: None,
    Fixed: None,
    Unmakeable: None,
}


def model_of(cls, calls=1):
    inputs = keras.Input((None, WIDTH))
    x = layers.Dense(WIDTH, name="before")(inputs)
    block = cls(name="block")
    for _ in range(calls):
        x = block(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("cls", list(CASES), ids=lambda cls: cls.__name__)
def test_what_a_layer_keeps_to_itself_goes(cls, calls, tmp_path):
    model = graphs.made(lambda: model_of(cls, calls))
    groups = tf_admm.channel_groups(model, verbose=0)
    mine = [group for group in groups.prunable if group.name.startswith("block")]
    if CASES[cls] is None:
        assert not mine
        return
    names, count = CASES[cls]
    (group,) = mine
    assert {part.path.removeprefix("block/") for part in group.producers} == names
    assert group.channels == count
    graphs.kill(group, np.arange(1, count, 2))
    x = graphs.inputs_of(model)
    expected = np.array(model(x))
    small, report = tf_admm.shrink(model, samples=x, verbose=0)
    limit = 1e-5 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(np.array(small(x)), expected, atol=limit)
    block = small.get_layer("block")
    assert type(block) is cls
    assert block.hidden == model.get_layer("block").hidden // 2
    with keras.saving.custom_object_scope({cls.__name__: cls}):
        small.save(tmp_path / "small.keras")
        loaded = keras.saving.load_model(tmp_path / "small.keras", compile=False)
    np.testing.assert_array_equal(np.array(loaded(x)), np.array(small(x)))
    assert "block" not in report.stopped


class Held(Ranged):
    """It could be laid out flat, but for what it holds."""

    def __init__(self, hidden=SIZE, **kwargs):
        super().__init__(hidden, **kwargs)

        def unregistered(x):
            return ops.relu(x)

        self.plain = layers.Activation(unregistered, name="plain")

    def call(self, x):
        return self.down(self.plain(self.up(x)))


class HeldFixed(Sizeless, Held):
    pass


@pytest.mark.parametrize("cls", [Held, HeldFixed])
def test_layers_that_hold_what_cant_be_made_again(cls):
    """They stay what they are where that will do, or else are laid out flat."""

    def stack():
        x = inputs = keras.Input((None, WIDTH))
        for name in ("first", "second"):
            x = cls(name=name)(x)
        x = layers.GlobalAveragePooling1D()(x)
        return keras.Model(inputs, layers.Dense(3, name="head")(x))

    model = graphs.made(stack)
    for group in tf_admm.channel_groups(model, verbose=0).prunable:
        graphs.kill(group, np.arange(0, group.channels, 2))
    x = graphs.inputs_of(model)
    small, report = tf_admm.shrink(model, samples=x, verbose=0)
    np.testing.assert_allclose(np.array(small(x)), np.array(model(x)), rtol=1e-4)
    kept = [type(layer) for layer in small.layers if isinstance(layer, cls)]
    assert len(kept) == (2 if cls is Held else 0)
    assert all(report.units[f"{n}/up/kernel"] == (6, 12) for n in ("first", "second"))


def test_what_holds_the_stream_is_named():
    groups = tf_admm.channel_groups(model_of(Block), verbose=0)
    assert groups.named("before").why == (
        "'block' of type Block with weights of its own beside layers, ['gain'], whose "
        "channels are not known"
    )


def test_a_layer_that_its_config_cant_make_again_says_so():
    groups = tf_admm.channel_groups(model_of(Unmakeable), verbose=0)
    assert "which its config can't make again" in groups.named("before").why


def test_pruned_as_any_group():
    """Budgets, ADMM, and retraining reach it."""
    keras.utils.set_random_seed(0)
    model = model_of(Gated)
    rates = tf_admm.allocate(
        model, ratio=1.3, structure="channels", method="uniform", verbose=0
    )
    assert any(name.startswith("block") for name in rates)
    admm = tf_admm.ADMMModel(model, {"block/*": tf_admm.constraints.GroupSparsity(0.5)})
    admm.compile("adam", "mse", jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((64, 5, WIDTH)), rng.standard_normal((64, 3))
    admm.fit(x, y, epochs=4, verbose=0, callbacks=[tf_admm.ADMMCallback(2)])
    small, _ = tf_admm.shrink(admm.model, verbose=0)
    assert small.get_layer("block").hidden == SIZE // 2


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_in_any_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = model_of(Gated)
        groups = tf_admm.channel_groups(model, verbose=0)
        graphs.kill(groups.named("block/up"), np.arange(0, SIZE, 2))
        small, _ = tf_admm.shrink(model, verbose=0)
        assert keras.config.dtype_policy().name == policy
    finally:
        keras.config.set_dtype_policy("float32")
    block = small.get_layer("block")
    assert (block.hidden, block.dtype_policy.name) == (SIZE // 2, policy)


def test_looking_leaves_random_numbers_alone():
    model = model_of(Gated)
    keras.utils.set_random_seed(0)
    expected = layers.Dense(3).kernel_initializer.seed
    keras.utils.set_random_seed(0)
    tf_admm.channel_groups(model, verbose=0)
    assert layers.Dense(3).kernel_initializer.seed == expected
