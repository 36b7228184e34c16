"""Channels through axes that are exchanged and merged again: shuffles, Flatten."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import tf_admm
from tf_admm.constraints import GroupSparsity


def by_layers(x, parts):
    _, h, w, c = x.shape
    x = layers.Reshape((h, w, parts, c // parts))(x)
    return layers.Reshape((h, w, c))(layers.Permute((1, 2, 4, 3))(x))


def by_operations(x, parts):
    _, h, w, c = x.shape
    x = ops.reshape(x, (-1, h, w, parts, c // parts))
    return ops.reshape(ops.transpose(x, (0, 1, 2, 4, 3)), (-1, h, w, c))


def by_open_sizes(x, parts):
    _, h, w, _ = x.shape
    x = layers.Reshape((h, w, parts, -1))(x)
    return layers.Reshape((h, w, -1))(ops.swapaxes(x, -1, -2))


def back(x, parts):
    """The other way round: what was apart is beside each other."""
    return by_layers(x, x.shape[-1] // parts)


def flat_by_channels(x, parts):
    """As models do that were written for channels first."""
    del parts
    return layers.Flatten()(layers.Permute((3, 1, 2))(x))


def flat_by_columns(x, parts):
    del parts
    return layers.Flatten()(ops.moveaxis(x, -1, 2))


def rows_of_channels(x, parts):
    """The channels are merged with one axis, and the other stays."""
    del parts
    _, h, w, c = x.shape
    return layers.Reshape((h, c * w))(layers.Permute((1, 3, 2))(x))


#: Of 12 channels in 3 parts: how many can go by themselves.
WAYS = {
    by_layers: 4,
    by_operations: 4,
    by_open_sizes: 4,
    back: 3,
    flat_by_channels: 12,
    flat_by_columns: 12,
    rows_of_channels: 12,
}


def model_with(between):
    x = keras.Input((4, 5, 3))
    y = layers.Conv2D(12, 3, padding="same", name="a")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="norm")(y))
    y = between(y)
    y = layers.Dense(8, "relu", name="b")(y)
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(y)))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name != "moving_variance":
            weight.assign(rng.normal(size=weight.shape))
    return model


def checked(model):
    """The small model, which puts out what the model does, and its report."""
    x = np.random.default_rng(1).normal(size=(3, 4, 5, 3)).astype("float32")
    small, report = tf_admm.shrink(model, x, verbose=0)
    expected = np.array(model(x))
    limit = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(np.array(small(x)), expected, atol=limit)
    return small, report


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_channels_go_through_a_shuffle(way, tmp_path):
    model = model_with(lambda y: way(y, 3))
    group = tf_admm.channel_groups(model, verbose=0).named("a")
    assert group.channels == WAYS[way]
    tf_admm.ADMMModel(model, {"a": GroupSparsity(0.5)}, rho=0.0).finalize()
    small, report = checked(model)
    gone = 12 // WAYS[way] * round(0.5 * WAYS[way])
    assert report.units["a/kernel"] == (12 - gone, 12)
    small.save(tmp_path / "small.keras")
    checked(keras.saving.load_model(tmp_path / "small.keras"))


@pytest.mark.parametrize("way", [by_layers, back], ids=lambda way: way.__name__)
def test_of_channels_that_go_together_one_stays(way):
    model = model_with(lambda y: way(y, 3))
    for weight in ("kernel", "bias"):
        values = np.array(getattr(model.get_layer("a"), weight))
        values[..., 0] = 0.0
        getattr(model.get_layer("a"), weight).assign(values)
    for weight in ("gamma", "beta"):
        variable = getattr(model.get_layer("norm"), weight)
        variable.assign(np.where(np.arange(12) == 0, 0.0, variable))
    assert checked(model)[1].units["a/kernel"] == (12, 12)


def read_twice(y):
    """The positions that the channels became are read by themselves, too."""
    turned = layers.Permute((1, 3, 2))(y)
    flat = layers.Flatten()(layers.Dense(2)(turned))
    return layers.Concatenate()([layers.Reshape((4 * 60,))(turned), flat])


def merged_without_the_channels(y):
    """The channels are positions, and what is merged is two other axes."""
    return layers.Reshape((12, 20))(layers.Permute((3, 1, 2))(y))


@pytest.mark.parametrize("between", [read_twice, merged_without_the_channels])
def test_else_they_stay(between):
    model = model_with(between)
    reasons = {g.name: g.why for g in tf_admm.channel_groups(model, verbose=0)}
    assert "of type Permute, whose channels are not known" in reasons["a"]
    checked(model)
