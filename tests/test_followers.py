"""Layers of one's own whose weights are as large as what they read, not registered."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import tf_admm


def register(cls):
    return keras.saving.register_keras_serializable(package="tests")(cls)


@register
class Scale(layers.Layer):
    """LayerScale."""

    def build(self, shape):
        self.gamma = self.add_weight(shape=shape[-1:], initializer="ones")

    def call(self, x):
        return x * self.gamma


@register
class Wide(layers.Layer):
    """One that is told how many channels there are."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build(self, shape):
        self.gamma = self.add_weight(shape=(self.width,), initializer="ones")

    def call(self, x):
        return x * self.gamma

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@register
class ClassToken(layers.Layer):
    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="normal")

    def call(self, x):
        size = (ops.shape(x)[0], 1, x.shape[-1])
        return ops.concatenate([ops.broadcast_to(self.token, size), x], axis=1)


@register
class Places(layers.Layer):
    """A table of positions, for as many as there are."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="normal")

    def call(self, x):
        return x + self.table


@register
class Norm(layers.Layer):
    """Batch normalisation by hand."""

    def build(self, shape):
        self.gamma = self.add_weight(shape=shape[-1:], initializer="ones")
        self.beta = self.add_weight(shape=shape[-1:], initializer="zeros")
        self.mean, self.spread = (
            self.add_weight(shape=shape[-1:], initializer=x, trainable=False)
            for x in ("zeros", "ones")
        )

    def call(self, x):
        return (x - self.mean) / ops.sqrt(self.spread) * self.gamma + self.beta


@register
class Smooth(layers.Layer):
    """A depthwise kernel by hand."""

    def build(self, shape):
        self.w = self.add_weight(shape=(3, shape[-1]), initializer="normal")

    def call(self, x):
        y = ops.pad(x, [[0, 0], [1, 1], [0, 0]])
        return sum(y[:, i : i + 7] * self.w[i] for i in range(3))


@register
class Warm(layers.Layer):
    """One number for all, and one for each."""

    def build(self, shape):
        self.all = self.add_weight(shape=(), initializer="ones")
        self.each = self.add_weight(shape=shape[-1:], initializer="zeros")

    def call(self, x):
        return x * self.all + self.each


@register
class RootMean(Scale):
    """A norm over channels, which can't go."""

    def call(self, x):
        root = ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6)
        return x / root * self.gamma


@register
class Gate(Scale):
    """Not 0.0 where all is 0.0."""

    def call(self, x):
        return ops.sigmoid(x + self.gamma)


@register
class Mixing(layers.Layer):
    """A square matrix."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], shape[-1]))

    def call(self, x):
        return ops.matmul(x, self.w)


@register
class Random(Scale):
    """Other numbers each time."""

    def build(self, shape):
        super().build(shape)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, x):
        noise = keras.random.normal(ops.shape(x)[1:], seed=self.seed_generator)
        return x * self.gamma + noise


@register
class Limited(Scale):
    """Other channels count where numbers are large."""

    def call(self, x):
        length = ops.sqrt(ops.mean(ops.square(x), -1, keepdims=True))
        return x * self.gamma * ops.minimum(1.0, 6 / (length + 1e-6))


@register
class InTraining(Scale):
    """Other channels count in training."""

    def call(self, x, training=False):
        length = ops.sqrt(ops.mean(ops.square(x), -1, keepdims=True) + 1e-3)
        return x * self.gamma / length if training else x * self.gamma


FOLLOW = {
    "scale": Scale,
    "class_token": ClassToken,
    "places": Places,
    "norm": Norm,
    "smooth": Smooth,
    "warm": Warm,
    "wide": lambda: Wide(8),
}
STAY = {
    "limited": Limited,
    "in_training": InTraining,
    "norm_over_channels": RootMean,
    "gate": Gate,
    "mixing": Mixing,
    "draws": Random,
}


def model_with(layer):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((7, 5))
    x = layer(layers.Dense(8, "relu", name="a")(inputs))
    y = layers.Dense(3, name="head")(layers.GlobalAveragePooling1D()(x))
    model, rng = keras.Model(inputs, y), np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.uniform(0.5, 1.5, w.shape))
    return model


@pytest.mark.parametrize("name", list(FOLLOW))
@pytest.mark.parametrize("frozen", [False, True])
def test_channels_go_through(name, frozen, tmp_path):
    layer = FOLLOW[name]()
    layer.trainable = not frozen
    model = model_with(layer)
    group = tf_admm.channel_groups(model, verbose=0).named("a")
    # A frozen addend isn't 0.0 where a channel is.
    if frozen and name in ("class_token", "places", "norm", "warm"):
        assert "channels are not known" in group.why
        return
    assert group.why is None and group.channels == 8
    own = {id(w) for w in layer.trainable_weights if 8 in w.shape}
    assert own <= {id(part.variable) for part in group.producers}
    for part in group.producers:
        w = np.array(part.variable)
        places = [slice(None)] * w.ndim
        places[part.axis] = part.index[:4].ravel()
        w[tuple(places)] = 0
        part.variable.assign(w)
    x = np.random.default_rng(1).normal(size=(4, 7, 5)).astype("float32")
    expected = np.array(model(x))
    small, report = tf_admm.shrink(model, verbose=0)
    assert report.units["a/kernel"] == (4, 8) and not report.stopped
    small.save(tmp_path / "small.keras")
    for each in (small, keras.saving.load_model(tmp_path / "small.keras")):
        np.testing.assert_allclose(each(x), expected, atol=1e-5)


@pytest.mark.parametrize("name", list(STAY))
def test_channels_stay(name):
    model = model_with(STAY[name]())
    group = tf_admm.channel_groups(model, verbose=0).named("a")
    assert f"of type {STAY[name].__name__}, whose channels are not known" in group.why


def test_a_pruned_scale_stays_pruned():
    """By ADMM and retraining, with its entries as members of the group."""
    model = model_with(Scale(name="scale"))
    half = tf_admm.constraints.GroupSparsity(0.5)
    admm = tf_admm.ADMMModel(model, {"a": half}, rho=1e-2)
    admm.compile("adam", "mse")
    x = np.random.default_rng(1).normal(size=(64, 7, 5)).astype("float32")
    callback = tf_admm.ADMMCallback(admm_epochs=2)
    admm.fit(x, x[:, 0, :3], epochs=3, verbose=0, callbacks=[callback])
    dead = np.array(model.get_layer("scale").gamma) == 0
    assert dead.sum() == 4
    assert not np.array(model.get_layer("a").kernel)[:, dead].any()
    _, report = tf_admm.shrink(model, verbose=0)
    assert report.units["a/kernel"] == (4, 8)
