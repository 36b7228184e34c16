"""Attention that people write out themselves, in `matmul`, `einsum`, `transpose`."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import tf_admm


def by_matmul(q, k, v):
    return ops.matmul(ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2)))), v)


def by_swapped_axes(q, k, v):
    return ops.softmax(q @ ops.swapaxes(k, -1, -2) / ops.sqrt(2.0), axis=-1) @ v


def by_moved_axes(q, k, v):
    places = ops.matmul(k, ops.moveaxis(q, -1, 2))
    return ops.matmul(ops.softmax(ops.swapaxes(places, 2, 3)), v)


def by_einsum(q, k, v):
    weights = ops.softmax(ops.einsum("bhqd,bhkd->bhqk", q, k))
    return ops.einsum("...qk,...kd->...qd", weights, v)


def by_rows(q, k, v):
    """One einsum of three."""
    return ops.einsum("bhqd,bhkd,bhke->bhqe", q, k, v) / 7


def rotated(q, k, v):
    """Positions by rotation of the halves of each channel's pair."""

    def turn(x):
        a, b = ops.split(x, 2, axis=-1)
        return ops.concatenate([a * 0.8 - b * 0.6, a * 0.6 + b * 0.8], axis=-1)

    return by_matmul(turn(q), turn(k), v)


def linear(q, k, v):
    """Sums over positions first: channels of keys become positions."""
    return ops.matmul(ops.relu(q), ops.matmul(ops.transpose(k, (0, 1, 3, 2)), v))


#: Channels, of the eight of each head, of queries and keys, and of values.
WAYS = {
    by_matmul: (8, 8),
    by_swapped_axes: (8, 8),
    by_moved_axes: (8, 8),
    by_einsum: (8, 8),
    by_rows: (8, 8),
    rotated: (4, 8),
    linear: (0, 8),
}


@keras.saving.register_keras_serializable(package="tests")
class ThreeKernels(layers.Layer):
    """As in tutorials: a kernel each for queries, keys and values, then heads."""

    def __init__(self, way, **kwargs):
        super().__init__(**kwargs)
        self.way = way
        self.q, self.k, self.v, self.out = (
            layers.Dense(16, name=name) for name in ("q", "k", "v", "out")
        )

    def build(self, shape):
        for part in (self.q, self.k, self.v):
            part.build(shape)
        self.out.build((*shape[:-1], 16))

    def heads(self, x):
        return ops.transpose(ops.reshape(x, (ops.shape(x)[0], -1, 2, 8)), (0, 2, 1, 3))

    def call(self, x):
        way = next(f for f in WAYS if f.__name__ == self.way)
        y = way(*(self.heads(part(x)) for part in (self.q, self.k, self.v)))
        y = ops.transpose(y, (0, 2, 1, 3))
        return self.out(ops.reshape(y, (ops.shape(x)[0], ops.shape(x)[1], 16)))

    def get_config(self):
        return {**super().get_config(), "way": self.way}


@keras.saving.register_keras_serializable(package="tests")
class OneKernel(layers.Layer):
    """As in vision transformers: one kernel for all three."""

    def __init__(self, taken, **kwargs):
        super().__init__(**kwargs)
        self.taken = taken
        self.qkv, self.out = layers.Dense(48, name="qkv"), layers.Dense(16, name="out")

    def build(self, shape):
        self.qkv.build(shape)
        self.out.build((*shape[:-1], 16))

    def call(self, x):
        y = ops.reshape(self.qkv(x), (-1, x.shape[1], 3, 2, 8))
        y = ops.transpose(y, (2, 0, 3, 1, 4))
        parts = {
            "unstack": lambda: ops.unstack(y, axis=0),
            "split": lambda: [ops.squeeze(p, 0) for p in ops.split(y, 3, axis=0)],
            "index": lambda: [y[0], y[1], y[2]],
            "take": lambda: [ops.take(y, i, axis=0) for i in range(3)],
        }
        y = ops.transpose(by_matmul(*parts[self.taken]()), (0, 2, 1, 3))
        return self.out(ops.reshape(y, (-1, x.shape[1], 16)))

    def get_config(self):
        return {**super().get_config(), "taken": self.taken}


def model_with(layer, length):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((length, 5))
    x = layers.Dense(12, name="a")(inputs)
    x = layers.Add()([x, layers.Dense(12, name="b")(layer(x))])
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(3, name="head")(x))
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(size=w.shape) * 0.5)
    return model


def halve(model):
    """Half of the channels of each group set to 0.0; dict of the groups' sizes."""
    groups = tf_admm.channel_groups(model, verbose=0).prunable
    for group in groups:
        for part in group.producers:
            w = np.array(part.variable)
            places = [slice(None)] * w.ndim
            places[part.axis] = part.index[: group.channels // 2].ravel()
            w[tuple(places)] = 0
            part.variable.assign(w)
    return {group.name: group.channels for group in groups}


def check(model, path):
    """The small model, as it is and loaded, puts out what the model does."""
    x = np.random.default_rng(1).normal(size=(3, 7, 5)).astype("float32")
    expected = np.array(model(x))
    small, report = tf_admm.shrink(model, verbose=0)
    small.save(path)
    for each in (small, keras.saving.load_model(path)):
        np.testing.assert_allclose(
            np.array(each(x)), expected, atol=1e-5 * np.abs(expected).max()
        )
    return small, report


@pytest.mark.parametrize("way", [way.__name__ for way in WAYS])
@pytest.mark.parametrize("length", [7, None])
def test_three_kernels(tmp_path, way, length):
    model = model_with(ThreeKernels(way, name="at"), length)
    of_keys, of_values = next(n for f, n in WAYS.items() if f.__name__ == way)
    expected = {"a": 12, "at/q": of_keys, "at/v": of_values, "at/out": 16}
    assert halve(model) == {name: n for name, n in expected.items() if n}
    small, report = check(model, tmp_path / "small.keras")
    assert report.units["at/v/kernel"] == (8, 16)
    assert report.units["at/q/kernel"] == report.units["at/k/kernel"]
    assert report.units["at/q/kernel"] == (8 if of_keys else 16, 16)
    assert small.count_params() == report.parameters


@pytest.mark.parametrize("taken", ["unstack", "split", "index", "take"])
def test_one_kernel(tmp_path, taken):
    model = model_with(OneKernel(taken, name="at"), 7)
    assert halve(model) == {"a": 12, "at/qkv": 8, "at/out": 16}
    _, report = check(model, tmp_path / "small.keras")
    assert report.units["at/qkv/kernel"] == (24, 48)
    assert not report.stopped


def mixed_tokens(x):
    return layers.Permute((2, 1))(layers.Dense(7)(layers.Permute((2, 1))(x)))


def both_read(x):
    """What a product reads in other places, something else reads, too."""
    turned = ops.transpose(x, (0, 2, 1))
    return ops.matmul(x, turned) @ x + ops.transpose(turned * 2.0, (0, 2, 1))


def gram(x):
    """Products of channels with each other."""
    return ops.matmul(x, ops.matmul(ops.transpose(x, (0, 2, 1)), x))


@pytest.mark.parametrize("between", [mixed_tokens, both_read, gram])
def test_channels_that_become_positions_stay(tmp_path, between):
    model = model_with(between, 7)
    assert "a" not in halve(model)
    model.get_layer("a").kernel.assign(np.eye(5, 12))
    check(model, tmp_path / "small.keras")
