"""Channels that are dead, with a bias or without, behind each entry of the table."""

import re

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import tf_admm
from tf_admm.structure.kinds import elementwise
from tf_admm.structure.kinds import table

FACTORS = np.linspace(0.5, 2, 8).astype("float32")
BINARY = ("Add", "Subtract", "Divide", "DivideNoNan", "TrueDivide", "Maximum")
BINARY += ("FloorDivide", "Logaddexp", "Minimum", "Mod", "Multiply")
TRUE_OR_FALSE = ("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual")
TRUE_OR_FALSE += ("LogicalAnd", "LogicalOr")
OF_POSITIVE = ("Log", "Log10", "Log1p", "Log2", "Sqrt", "Rsqrt", "Reciprocal")
#: Operations that a name doesn't say how to call.
CALLS = {
    "Average": lambda x: ops.expand_dims(ops.average(x, axis=1), 1),
    "AveragePool": lambda x: ops.average_pool(x, 2, padding="same"),
    "Cast": lambda x: ops.cast(ops.cast(x, "float16"), "float32"),
    "Clip": lambda x: ops.clip(x, -0.5, 0.5),
    "Concatenate": lambda x: ops.concatenate([x, x * 2], 1),
    "Cumprod": lambda x: ops.cumprod(x, 1),
    "Cumsum": lambda x: ops.cumsum(x, 1),
    "DotProductAttention": lambda x: ops.squeeze(
        ops.dot_product_attention(*[ops.expand_dims(x, 2)] * 3), 2
    ),
    "Einsum": lambda x: ops.einsum("bqc,bkc,bkd->bqd", x, x[:, :3], x[:, :3]),
    "ExpandDims": lambda x: ops.squeeze(ops.expand_dims(x, 1), 1),
    "Flip": lambda x: ops.flip(x, 1),
    "GetItem": lambda x: x[:, 2:],
    "Glu": lambda x: ops.glu(x[:, :6], 1),
    "LogSoftmax": lambda x: ops.log_softmax(x, 1),
    "LogicalNot": lambda x: ops.cast(ops.logical_not(x > 0), "float32"),
    "Logsumexp": lambda x: ops.logsumexp(x, 1, keepdims=True),
    "Matmul": lambda x: ops.matmul(ops.matmul(x, ops.transpose(x, (0, 2, 1))), x),
    "Max": lambda x: ops.max(x, 1, keepdims=True),
    "MaxPool": lambda x: ops.max_pool(x, 2, padding="same"),
    "Mean": lambda x: ops.mean(x, 1, keepdims=True),
    "Min": lambda x: ops.min(x, 1, keepdims=True),
    "Moments": lambda x: sum(ops.moments(x, [1], keepdims=True)),
    "Moveaxis": lambda x: ops.moveaxis(ops.expand_dims(x, 1), 1, -2)[:, :, 0],
    "Norm": lambda x: ops.norm(x, 3, 1, keepdims=True),
    "Normalize": lambda x: ops.normalize(x, 1),
    "Mish": lambda x: layers.Activation("mish")(x),
    "Pad": lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 0))),
    "Power": lambda x: ops.power(ops.abs(x), FACTORS),
    "Prod": lambda x: ops.prod(x, 1, keepdims=True),
    "Repeat": lambda x: ops.repeat(x, 2, 1),
    "Reshape": lambda x: ops.reshape(x, (-1, 7, 8)),
    "Resize": lambda x: ops.squeeze(
        ops.image.resize(ops.expand_dims(x, 1), (1, 14)), 1
    ),
    "Roll": lambda x: ops.roll(x, (1, 2), (1, 1)),
    "Softmax": lambda x: ops.softmax(x, 1),
    "Split": lambda x: ops.split(x, 2, axis=-1)[1],
    "Squeeze": lambda x: ops.squeeze(ops.expand_dims(x, 1), 1),
    "Stack": lambda x: ops.max(ops.stack([x, x * 2], 1), 1),
    "Std": lambda x: ops.std(x, 1, keepdims=True),
    "Sum": lambda x: ops.sum(x, 1, keepdims=True),
    "Swapaxes": lambda x: ops.swapaxes(ops.expand_dims(x, 1), -2, 1)[:, :, 0],
    "Take": lambda x: ops.take(x, [0, 2, 2], 1),
    "Threshold": lambda x: ops.threshold(x, 0.3, 0.7),
    "Tile": lambda x: ops.tile(x, (1, 2, 1)),
    "Transpose": lambda x: ops.transpose(x, (0, 1, 2)),
    "Unstack": lambda x: ops.expand_dims(sum(ops.unstack(x, axis=1)), 1),
    "Var": lambda x: ops.var(x, 1, keepdims=True),
    "Where": lambda x: ops.where(x > 0, x, FACTORS),
}
KNOWN = sorted(name for name, kind in table.OPERATIONS.items() if not kind.opaque)
LAYERS = {
    "attention": lambda: lambda x: layers.Attention()([x, x[:, 2:]]),
    "average_pooling": lambda: layers.AveragePooling1D(2, padding="same"),
    "batch_norm": lambda: layers.BatchNormalization(),
    "bidirectional": lambda: layers.Bidirectional(
        layers.GRU(4, return_sequences=True), merge_mode="mul"
    ),
    "conv": lambda: layers.Conv1D(4, 3, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv1D(3, padding="same"),
    "depthwise_valid": lambda: layers.DepthwiseConv1D(3),
    "cumsum_of_channels": lambda: lambda x: ops.cumsum(x, -1),
    "einsum": lambda: layers.EinsumDense("btc,cd->btd", (7, 4)),
    "dot": lambda: lambda x: layers.Dot(1)([x[..., :1], x]),
    "dot_of_channels": lambda: lambda x: layers.Dot(2)([x, x[:, 2:]]),
    "elu": lambda: layers.ELU(),
    "glu": lambda: lambda x: ops.glu(x),
    "groups": lambda: layers.Conv1D(8, 3, groups=4, padding="same"),
    "group_norm": lambda: layers.GroupNormalization(4),
    "largest": lambda: lambda x: ops.max(x, (1, -1), keepdims=True),
    "layer_norm": lambda: layers.LayerNormalization(),
    "leaky": lambda: layers.LeakyReLU(),
    "mean": lambda: lambda x: ops.mean(x, -1),
    "mean_of_weighted": lambda: (
        lambda x: ops.expand_dims(ops.average(x, axis=-1, weights=FACTORS), -1)
    ),
    "norm_over_time": lambda: layers.LayerNormalization(axis=1),
    "moments_of_channels": lambda: lambda x: sum(ops.moments(x, [-1], keepdims=True)),
    "norm_of_channels": lambda: lambda x: ops.norm(x, axis=-1, keepdims=True),
    "product_of_channels": lambda: lambda x: ops.prod(x, -1, keepdims=True),
    "prelu": lambda: layers.PReLU(),
    "relu": lambda: layers.ReLU(2.0, 0.1, 0.3),
    "rescaling": lambda: layers.Rescaling(2.0, 1.0),
    "rms_norm": lambda: layers.RMSNormalization(),
    "separable": lambda: layers.SeparableConv1D(4, 3, padding="same"),
    "softmax": lambda: layers.Softmax(1),
    "sum": lambda: lambda x: ops.sum(x, -1, keepdims=True),
    "transposed": lambda: layers.Conv1DTranspose(4, 3, 2),
    "unit": lambda: lambda x: ops.normalize(x, -1),
    "unit_norm": lambda: layers.UnitNormalization(),
    "unit_norm_over_time": lambda: layers.UnitNormalization(1),
    "upsampling": lambda: layers.UpSampling1D(2),
    "var_of_channels": lambda: lambda x: ops.var(x, -1, keepdims=True),
    "zero_padding": lambda: layers.ZeroPadding1D(1),
}


#: What nothing is known of, called so.
OPAQUE = ("cumsum_of_channels", "mean_of_weighted", "moments_of_channels")
OPAQUE += ("norm_over_time",)


def operation(name):
    """A call of an operation on what is 8 channels wide."""
    if name in CALLS:
        return CALLS[name]
    function = getattr(ops, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    if name in BINARY:
        return lambda x: function(function(FACTORS, ops.abs(x) + 0.5), x + FACTORS)
    if name in TRUE_OR_FALSE:
        return lambda x: ops.cast(function(x, FACTORS - 0.6), "float32")
    if name in OF_POSITIVE:
        return lambda x: function(ops.abs(x) + 0.5)
    return function


def model_with(between):
    """Channels 0, 1, 4 and 5 are dead: of bias 0.0, below it, 0.0, and above it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((7, 5))
    x = between(layers.Dense(8, name="a")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    rng = np.random.default_rng(0)
    for w in model.weights:
        if "variance" in w.name:
            w.assign(rng.uniform(0.5, 2, w.shape))
        elif keras.backend.is_float_dtype(w.dtype):
            w.assign(0.5 * rng.normal(size=w.shape))
    kernel, bias = model.get_layer("a").get_weights()
    kernel[:, [0, 1, 4, 5]] = 0.0
    bias[[0, 1, 4, 5]] = 0.0, -0.6, 0.0, 0.7
    model.get_layer("a").set_weights([kernel, bias])
    return model


def check(model):
    small, report = tf_admm.shrink(model, verbose=0)
    x = np.random.default_rng(1).normal(size=(4, 7, 5)).astype("float32")
    expected = np.array(model(x))
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(small(x), expected, atol=1e-5)
    return report


@pytest.mark.parametrize("name", KNOWN)
def test_dead_channels_behind_an_operation(name):
    report = check(model_with(operation(name)))
    # What takes each number by itself makes constants of constants.
    if table.OPERATIONS[name] is elementwise.Elementwise:
        assert report.units["a/kernel"] == (4, 8)
    assert not report.stopped


@pytest.mark.parametrize("name", list(LAYERS))
def test_dead_channels_behind_a_layer(name):
    report = check(model_with(lambda x: LAYERS[name]()(x)))
    assert bool(report.stopped) == (name in OPAQUE)


def test_dead_channels_behind_attention_and_merges():
    def between(x):
        y = layers.MultiHeadAttention(2, 3)(x, x)
        joined = layers.Concatenate()([layers.Add()([x, y]), layers.Maximum()([x, -x])])
        return layers.Multiply()([joined, joined])

    assert not check(model_with(between)).stopped
