import keras
import numpy as np
import oracles
import pytest
from keras import layers

from tf_admm.structure import kernels


def through(*stack, shape, dtype=None):
    inputs = keras.Input(shape, dtype=dtype)
    x = inputs
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x)


def found(model):
    return [kernel.path for kernel in kernels.find(model)]


# Which kernels are found.

FOUND = [
    (layers.Dense(2, name="a"), (3,), ["a/kernel"]),
    (layers.Conv1D(2, 3, name="a"), (5, 2), ["a/kernel"]),
    (layers.Conv2D(2, 3, name="a"), (5, 5, 2), ["a/kernel"]),
    (layers.Conv3D(2, 3, name="a"), (5, 5, 5, 2), ["a/kernel"]),
    (layers.Conv1DTranspose(2, 3, name="a"), (5, 2), ["a/kernel"]),
    (layers.Conv2DTranspose(2, 3, name="a"), (5, 5, 2), ["a/kernel"]),
    (layers.Conv3DTranspose(2, 3, name="a"), (5, 5, 5, 2), ["a/kernel"]),
    (layers.DepthwiseConv1D(3, name="a"), (5, 2), ["a/kernel"]),
    (layers.DepthwiseConv2D(3, name="a"), (5, 5, 2), ["a/kernel"]),
    (
        layers.SeparableConv1D(4, 3, name="a"),
        (5, 2),
        ["a/depthwise_kernel", "a/pointwise_kernel"],
    ),
    (
        layers.SeparableConv2D(4, 3, name="a"),
        (5, 5, 2),
        ["a/depthwise_kernel", "a/pointwise_kernel"],
    ),
    (layers.EinsumDense("ab,bc->ac", 4, name="a"), (3,), ["a/kernel"]),
    (
        layers.TimeDistributed(layers.Dense(2, name="b"), name="a"),
        (5, 2),
        ["a/b/kernel"],
    ),
    (layers.BatchNormalization(), (3,), []),
    (layers.LayerNormalization(), (3,), []),
    (layers.GroupNormalization(1), (3,), []),
    (layers.PReLU(), (3,), []),
    (layers.Dropout(0.5), (3,), []),
]


@pytest.mark.parametrize(
    "layer, shape, paths", FOUND, ids=[type(row[0]).__name__ for row in FOUND]
)
def test_found(layer, shape, paths):
    assert found(through(layer, shape=shape)) == paths


@pytest.mark.parametrize("cls", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_found_in_recurrent_layers(cls):
    layer = cls(3, name="a")
    cell = layer.cell.name
    assert found(through(layer, shape=(5, 2))) == [
        f"a/{cell}/kernel",
        f"a/{cell}/recurrent_kernel",
    ]


@pytest.mark.parametrize(
    "layer, shape, count",
    [
        (layers.Bidirectional(layers.LSTM(3)), (5, 2), 4),
        (layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)]), (5, 2), 4),
        (layers.ConvLSTM1D(2, 3), (4, 6, 1), 2),
        (layers.ConvLSTM2D(2, 3), (4, 6, 6, 1), 2),
    ],
)
def test_found_in_composite_recurrent_layers(layer, shape, count):
    model = through(layer, shape=shape)
    expected = [v for v in model.weights if v.name in ("kernel", "recurrent_kernel")]
    assert len(expected) == count
    assert {id(k.variable) for k in kernels.find(model)} == set(map(id, expected))
    assert len(set(found(model))) == count


def test_found_in_attention():
    inputs = keras.Input((4, 6))
    attention = layers.MultiHeadAttention(2, 3, name="a")
    model = keras.Model(inputs, attention(inputs, inputs))
    assert found(model) == [
        "a/query/kernel",
        "a/key/kernel",
        "a/value/kernel",
        "a/attention_output/kernel",
    ]


def test_found_in_nested_models():
    inner = keras.Sequential(
        [layers.Dense(4, name="x"), layers.Dense(3, name="y")], name="inner"
    )
    middle = keras.Sequential([inner, layers.Dense(2, name="x")], name="middle")
    outer = through(middle, layers.Dense(1, name="z"), shape=(5,))
    assert found(outer) == [
        "middle/inner/x/kernel",
        "middle/inner/y/kernel",
        "middle/x/kernel",
        "z/kernel",
    ]


def test_shared_layer_is_found_once_at_each_place():
    shared = layers.Dense(4, name="shared")
    left = keras.Sequential([keras.Input((4,)), shared], name="left")
    right = keras.Sequential([keras.Input((4,)), shared], name="right")
    (kernel,) = kernels.find(through(left, shared, shared, right, shape=(4,)))
    assert kernel.variable is shared.kernel
    assert set(kernel.paths) == {
        ("shared", "kernel"),
        ("left", "shared", "kernel"),
        ("right", "shared", "kernel"),
    }


class Blocks(keras.Model):
    """Layers in attributes, a list, a dict and a list of lists."""

    def __init__(self):
        super().__init__()
        self.first = layers.Dense(4, name="first")
        self.listed = [layers.Dense(4, name=f"listed_{i}") for i in range(2)]
        self.named = {"key": layers.Dense(4, name="named")}
        self.lists = [[layers.Dense(4, name="deep")]]

    def call(self, x):
        stack = [self.first, *self.listed, self.named["key"], self.lists[0][0]]
        for layer in stack:
            x = layer(x)
        return x


def test_found_in_a_subclassed_model():
    model = Blocks()
    model(np.ones((1, 4)))
    assert sorted(found(model)) == [
        "deep/kernel",
        "first/kernel",
        "listed_0/kernel",
        "listed_1/kernel",
        "named/kernel",
    ]


def test_found_in_a_layer_of_ones_own():
    class Own(layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")
            self.kernel = self.add_weight(shape=(shape[-1], 2), name="kernel")

        def call(self, x):
            return keras.ops.matmul(x * self.scale, self.kernel)

    assert found(through(Own(name="own"), shape=(3,))) == ["own/kernel"]


def test_found_are_the_weights_themselves():
    model = through(layers.Dense(2), layers.BatchNormalization(), shape=(3,))
    (kernel,) = kernels.find(model)
    assert kernel.variable is model.layers[1].kernel
    assert kernel.layer is model.layers[1]
    assert kernel.size == 6


def test_keras_has_layers_of_a_layer():
    """The one private name in use: `Layer._layers`, in `kernels._children`."""
    outer = layers.Bidirectional(layers.LSTM(2))
    outer.build((None, 3, 4))
    assert isinstance(outer._layers, list)
    assert {id(outer.forward_layer), id(outer.backward_layer)} <= set(
        map(id, outer._layers)
    )
    assert list(outer.forward_layer._layers)[0] is outer.forward_layer.cell


# The table of axes, against the layers themselves: an entry of the kernel is
# moved, and the outputs that change are those of its output index; a single
# entry is set, and the inputs that count are those of its input index.

#: A layer, the shape of one sample, how many axes of features the input and
#: the output end with, and the kernel's name.
AXES = {
    "dense": (layers.Dense(3), (4,), 1, 1, "kernel"),
    "conv1d": (layers.Conv1D(3, 2), (3, 2), 1, 1, "kernel"),
    "conv2d": (layers.Conv2D(3, 2), (2, 3, 2), 1, 1, "kernel"),
    "conv2d_transposed": (layers.Conv2DTranspose(3, 2), (2, 2, 4), 1, 1, "kernel"),
    "depthwise": (layers.DepthwiseConv2D(2), (2, 3, 3), 1, 1, "kernel"),
    "depthwise_2": (
        layers.DepthwiseConv2D(2, depth_multiplier=2),
        (2, 2, 3),
        1,
        1,
        "kernel",
    ),
    "einsum": (layers.EinsumDense("ab,bc->ac", 3), (4,), 1, 1, "kernel"),
    "einsum_reversed": (layers.EinsumDense("ab,cb->ac", 3), (4,), 1, 1, "kernel"),
    "einsum_heads": (
        layers.EinsumDense("abc,cde->abde", (None, 2, 3)),
        (2, 4),
        1,
        2,
        "kernel",
    ),
    "einsum_merge": (
        layers.EinsumDense("abcd,cde->abe", (None, 3)),
        (2, 2, 4),
        2,
        1,
        "kernel",
    ),
    "einsum_ellipsis": (
        layers.EinsumDense("...x,xy->...y", 3),
        (2, 4),
        1,
        1,
        "kernel",
    ),
}


def indices(shape, axes):
    """For each entry of a tensor of `shape`, its index along `axes` alone."""
    index = np.indices(shape)[list(axes)]
    return np.moveaxis(index, 0, -1).reshape(-1, len(axes))


def groups(rows):
    """Which rows are equal: the number of the first that equals each."""
    return [next(j for j in range(len(rows)) if (rows[j] == row).all()) for row in rows]


def features(dependent, kernel_shape, rank):
    """All but the last `rank` axes are positions, of no matter here."""
    flat = dependent.reshape(np.prod(kernel_shape), -1, *dependent.shape[-rank:])
    return flat.any(axis=1).reshape(len(flat), -1)


@pytest.mark.parametrize("layer, shape, inputs, outputs, name", AXES.values(), ids=AXES)
def test_axes(layer, shape, inputs, outputs, name):
    model = through(layer, shape=shape)
    (kernel,) = kernels.find(model)
    x = np.random.default_rng(0).normal(1, 0.1, size=(1, *shape)).astype("float32")
    kernel_shape = kernel.variable.shape
    ins, outs = kernel.axes

    changed = oracles.dependent_outputs(layer, kernel.variable, x)
    changed = features(changed, kernel_shape, outputs)
    assert (changed.sum(axis=1) == 1).all()
    assert groups(changed) == groups(indices(kernel_shape, outs))
    assert np.prod([kernel_shape[a] for a in outs]) == changed.shape[1]

    seen = oracles.dependent_inputs(layer, kernel.variable, x)
    seen = features(seen, kernel_shape, inputs)
    assert (seen.sum(axis=1) == 1).all()
    assert groups(seen) == groups(indices(kernel_shape, ins))
    assert np.prod([kernel_shape[a] for a in ins]) == seen.shape[1]


@pytest.mark.parametrize(
    "layer, shape, axes",
    [
        (layers.Conv3D(5, 2), (3, 3, 3, 2), [((3,), (4,))]),
        (layers.Conv1DTranspose(5, 2), (3, 2), [((2,), (1,))]),
        (layers.Conv3DTranspose(5, 2), (3, 3, 3, 2), [((4,), (3,))]),
        (layers.DepthwiseConv1D(2), (3, 2), [((1,), (1, 2))]),
        (layers.SeparableConv2D(5, 2), (3, 3, 2), [((2,), (2, 3)), ((2,), (3,))]),
        (layers.SeparableConv1D(5, 2), (3, 2), [((1,), (1, 2)), ((1,), (2,))]),
        (layers.LSTM(3), (4, 2), [((0,), (1,)), ((0,), (1,))]),
    ],
)
def test_axes_of_the_others(layer, shape, axes):
    assert [k.axes for k in kernels.find(through(layer, shape=shape))] == axes


def test_axes_of_a_subclass_are_those_of_its_base():
    class Mine(layers.Conv2DTranspose):
        pass

    (kernel,) = kernels.find(through(Mine(3, 2), shape=(4, 4, 2)))
    assert kernel.axes == ((3,), (2,))


CANONICAL = [
    (layers.Dense(3), (4,), (4, 3)),
    (layers.Conv2D(3, 2), (4, 4, 2), (2, 2, 2, 3)),
    (layers.Conv2DTranspose(3, 2), (4, 4, 2), (2, 2, 2, 3)),
    (layers.Conv1DTranspose(3, 2), (4, 2), (2, 2, 3)),
    (layers.DepthwiseConv2D(2, depth_multiplier=3), (4, 4, 2), (2, 2, 1, 6)),
    (layers.EinsumDense("ab,cb->ac", 3), (4,), (4, 3)),
    (layers.EinsumDense("abc,cde->abde", (None, 2, 3)), (5, 4), (4, 6)),
    (layers.EinsumDense("abcd,cde->abe", (None, 3)), (5, 2, 4), (8, 3)),
    (layers.Embedding(7, 3), (5,), (7, 3)),
]


@pytest.mark.parametrize("layer, shape, canonical", CANONICAL)
def test_canonical_order(layer, shape, canonical):
    """Inputs last but one and outputs last, whatever the layer's own order."""
    dtype = "int32" if len(canonical) == 2 and canonical[0] == 7 else None
    (kernel,) = kernels.find(through(layer, shape=shape, dtype=dtype))
    assert kernel.shape == canonical
    sizes = kernel.variable.shape
    x = np.arange(np.prod(sizes), dtype="float32").reshape(sizes)
    moved = np.array(kernel.canonical(x))
    assert moved.shape == canonical
    np.testing.assert_array_equal(kernel.original(moved), x)
    # Entries of the same output index are those of one last index.
    _, outputs = kernel.axes
    others = tuple(a for a in range(x.ndim) if a not in outputs)
    apart = x.transpose(*others, *outputs).reshape(-1, canonical[-1])
    np.testing.assert_array_equal(
        np.sort(moved.reshape(-1, canonical[-1]), axis=0), np.sort(apart, axis=0)
    )


def test_layer_that_refers_to_the_one_that_holds_it():
    inner = keras.Sequential([layers.Dense(4, name="a")], name="inner")
    model = through(inner, layers.Dense(2, name="b"), shape=(5,))
    inner.parent = model
    assert found(model) == ["inner/a/kernel", "b/kernel"]
