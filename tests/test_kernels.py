import keras
import numpy as np
import oracles
import pytest
from keras import layers

import tf_admm
from tf_admm import kernels
from tf_admm.constraints import Sparsity

HALF, THIRD = Sparsity(0.5), Sparsity(1 / 3)


def through(*stack, shape, dtype=None):
    inputs = keras.Input(shape, dtype=dtype)
    x = inputs
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x)


def found(model):
    return [kernel.path for kernel in kernels.find(model)]


def matched(model, constraints):
    pairs = kernels.match(kernels.find(model), constraints)
    return {kernel.path: constraint for kernel, constraint in pairs}


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


# Keys.


def two_level():
    inner = keras.Sequential(
        [layers.Dense(4, name="fc1"), layers.Dense(3, name="fc2")], name="inner"
    )
    return through(inner, layers.Dense(2, name="fc1"), shape=(5,))


A, B, C = "inner/fc1/kernel", "inner/fc2/kernel", "fc1/kernel"


@pytest.mark.parametrize(
    "constraints, expected",
    [
        pytest.param(HALF, {A: HALF, B: HALF, C: HALF}, id="lone"),
        pytest.param({"fc2": HALF}, {B: HALF}, id="name"),
        pytest.param({"fc1": HALF}, {A: HALF, C: HALF}, id="name, twice"),
        pytest.param({"inner": HALF}, {A: HALF, B: HALF}, id="composite"),
        pytest.param({"inner/fc1": HALF}, {A: HALF}, id="path"),
        pytest.param({A: HALF}, {A: HALF}, id="path of the variable"),
        pytest.param({"fc.": HALF}, {A: HALF, B: HALF, C: HALF}, id="regex"),
        pytest.param({".*/fc1": HALF}, {A: HALF}, id="regex on paths"),
        pytest.param({"fc[12]|x": HALF}, {A: HALF, B: HALF, C: HALF}, id="regex or"),
        pytest.param({"(?!inner).*": HALF}, {A: HALF, B: HALF, C: HALF}, id="not"),
        pytest.param(
            {"fc2": HALF, ".*": THIRD}, {A: THIRD, B: HALF, C: THIRD}, id="rest"
        ),
        pytest.param(
            {".*": THIRD, "fc2": HALF},
            {A: THIRD, B: THIRD, C: THIRD},
            id="first wins",
        ),
        pytest.param(
            {"inner/fc1": HALF, "inner": THIRD}, {A: HALF, B: THIRD}, id="then the rest"
        ),
    ],
)
def test_keys(constraints, expected):
    assert matched(two_level(), constraints) == expected


def test_path_of_the_outer_layer_alone():
    assert matched(two_level(), {"fc1/kernel": HALF}) == {C: HALF}


@pytest.mark.parametrize("key", ["fc", "c1", "FC1", "inner/", "/fc1", "nner/fc1", ""])
def test_a_key_is_matched_in_full(key):
    with pytest.raises(ValueError, match="Expected each key"):
        matched(two_level(), {key: HALF})


@pytest.mark.parametrize("key", ["conv9", "fc[", "(", "*", "kernel", "bias", 1, None])
def test_a_key_that_matches_nothing_lists_what_could_be(key):
    with pytest.raises(ValueError) as error:
        matched(two_level(), {"fc1": HALF, key: HALF})
    message = str(error.value)
    assert "Expected each key of `constraints`" in message
    assert f"Received: {key!r}" in message
    assert all(path in message for path in (A, B, C))


@pytest.mark.parametrize("name", ["a+b", "c(1)", "d.e", "f[0]", "g*", "h^$", "i\\d"])
def test_a_literal_name_needs_no_escape(name):
    model = through(
        layers.Dense(2, name=name), layers.Dense(2, name="other"), shape=(3,)
    )
    assert matched(model, {name: HALF}) == {f"{name}/kernel": HALF}


def test_an_escaped_name_is_that_name_alone():
    model = through(
        layers.Dense(2, name="d.e"), layers.Dense(2, name="dxe"), shape=(3,)
    )
    assert matched(model, {"d\\.e": HALF}) == {"d.e/kernel": HALF}


@pytest.mark.parametrize("constraints", [{}, HALF])
def test_nothing_to_constrain(constraints):
    model = through(layers.BatchNormalization(), shape=(3,))
    with pytest.raises(ValueError, match="at least one kernel.*Received"):
        matched(model, constraints)


def test_embeddings_only_by_name():
    model = through(
        layers.Embedding(10, 4, name="words"),
        layers.LSTM(3, name="lstm"),
        shape=(5,),
        dtype="int32",
    )
    embedding, recurrent = "words/embeddings", "lstm/lstm_cell/recurrent_kernel"
    assert embedding in found(model)
    assert embedding not in matched(model, HALF)
    assert embedding not in matched(model, {".*": HALF})
    assert recurrent in matched(model, HALF)
    assert matched(model, {"words": HALF}) == {embedding: HALF}
    assert matched(model, {embedding: HALF}) == {embedding: HALF}


def test_name_of_a_composite_does_not_cover_its_embeddings():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(10, 4, name="words")(inputs)
    encoder = keras.Model(inputs, layers.LSTM(3, name="lstm")(x), name="encoder")
    model = keras.Sequential([encoder, layers.Dense(2, name="head")])
    below = {"encoder/lstm/lstm_cell/kernel", "encoder/lstm/lstm_cell/recurrent_kernel"}
    assert set(matched(model, {"encoder": HALF})) == below
    assert set(matched(model, {"encoder/words": HALF})) == {"encoder/words/embeddings"}


def test_layer_that_refers_to_the_one_that_holds_it():
    model = two_level()
    model.layers[1].parent = model
    assert found(model) == found(two_level())


def test_frozen_kernels():
    model = two_level()
    model.layers[1].layers[0].trainable = False
    assert matched(model, HALF) == {B: HALF, C: HALF}
    assert matched(model, {"inner": HALF}) == {B: HALF}
    with pytest.raises(ValueError) as error:
        matched(model, {"fc2": HALF, "inner/fc1": HALF})
    message = str(error.value)
    assert "Expected the kernels to constrain to be trainable" in message
    assert "'inner/fc1', which matches only the frozen" in message and A in message


class Twins(keras.Model):
    def __init__(self):
        super().__init__()
        self.left = layers.Dense(4, name="twin")
        self.right = layers.Dense(4, name="twin")
        self.other = layers.Dense(4, name="other")

    def call(self, x):
        return self.other(self.left(x) + self.right(x))


def test_ambiguous_path():
    model = Twins()
    model(np.ones((1, 4)))
    with pytest.raises(ValueError, match="path of its own.*twin/kernel.*names of"):
        matched(model, HALF)
    assert matched(model, {"other": HALF}) == {"other/kernel": HALF}


def test_paths_survive_a_save(tmp_path):
    """`variable.path` does not: that is why paths are structural."""
    model = two_level()
    file = tmp_path / "model.keras"
    model.save(file)
    loaded = keras.saving.load_model(file)
    assert found(loaded) == found(model) == [A, B, C]
    constraints = {"inner/fc1": HALF, "fc2": THIRD}
    assert matched(loaded, constraints) == matched(model, constraints)


@pytest.mark.parametrize(
    "bad", [0.5, None, "0.5", keras.constraints.NonNeg(), Sparsity]
)
@pytest.mark.parametrize("wrap", [lambda c: c, lambda c: {"fc2": c}])
def test_a_constraint_is_a_set_of_ours(bad, wrap):
    with pytest.raises(ValueError, match=r"tf_admm\.constraints.*Received"):
        tf_admm.ADMMModel(two_level(), wrap(bad))
