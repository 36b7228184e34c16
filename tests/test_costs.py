"""What kept weights cost, against the layers themselves."""

import keras
import numpy as np
import pytest
from keras import layers
from test_kernels import through

import models
from tf_admm.allocation import costs
from tf_admm.structure import kernels
from tf_admm.structure import uses

#: Without bias or padding, so that each product of ones counts one in the output.
LAYERS = [
    (layers.Dense(3, use_bias=False), (4,)),
    (layers.Dense(3, use_bias=False), (5, 4)),
    (layers.Conv1D(3, 2, use_bias=False), (5, 2)),
    (layers.Conv2D(3, 2, strides=2, use_bias=False), (6, 7, 2)),
    (layers.Conv2D(3, 2, dilation_rate=2, use_bias=False), (6, 7, 2)),
    (layers.Conv3D(3, 2, use_bias=False), (3, 4, 5, 2)),
    (layers.Conv1DTranspose(3, 2, use_bias=False), (5, 2)),
    (layers.Conv2DTranspose(3, 2, strides=2, use_bias=False), (4, 5, 2)),
    (layers.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False), (4, 5, 3)),
    (layers.EinsumDense("abc,cde->abde", (None, 2, 3)), (5, 4)),
    (layers.EinsumDense("abcd,cde->abe", (None, 3)), (5, 2, 4)),
    (layers.EinsumDense("...x,xy->...y", 3), (2, 4)),
    (layers.TimeDistributed(layers.Dense(3, use_bias=False)), (5, 4)),
]


@pytest.mark.parametrize("layer, shape", LAYERS)
def test_uses_of_one_layer(layer, shape):
    model = through(layer, shape=shape)
    (kernel,) = kernels.find(model)
    count = uses.uses(model)[id(kernel.variable)]
    kernel.variable.assign(np.ones(kernel.variable.shape))
    products = float(np.sum(model(np.ones((1, *shape), "float32"))))
    assert count * kernel.size == products
    assert costs.MACs(model)(kernel, 2) == 2 * count


def paths(model):
    count = uses.uses(model)
    return {k.path: count.get(id(k.variable)) for k in kernels.find(model)}


@pytest.mark.parametrize("cls", [layers.LSTM, layers.GRU, layers.SimpleRNN])
@pytest.mark.parametrize("sequences", [False, True])
def test_uses_of_recurrent_layers(cls, sequences):
    model = through(cls(3, return_sequences=sequences, name="a"), shape=(7, 2))
    assert set(paths(model).values()) == {7}


def test_uses_of_composites():
    inner = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    model = through(inner, layers.TimeDistributed(layers.Dense(2)), shape=(7, 2))
    assert list(paths(model).values()) == [7, 7, 7, 7, 7]
    assert set(paths(models.attention().model).values()) == {5, 1}
    words = paths(models.lstm().model)
    assert [words.pop(k) for k in list(words) if "embeddings" in k] == [0]


def test_uses_of_layers_called_by_keyword():
    x = keras.Input((5, 6))
    attention = layers.MultiHeadAttention(2, 4, name="a")
    model = keras.Model(x, attention(query=x, value=x))
    assert set(paths(model).values()) == {5}


def test_uses_of_a_shared_layer_add_up():
    assert list(paths(models.shared().model).values()) == [2, 1]


def test_uses_of_nested_and_several():
    assert set(paths(models.nested().model).values()) == {1}
    assert set(paths(models.several().model).values()) == {1}


def test_the_layers_are_left_as_they_were():
    model = models.residual().model
    before = [dict(layer.__dict__) for layer in model.layers]
    uses.uses(model)
    assert [dict(layer.__dict__) for layer in model.layers] == before
    assert all("call" not in layer.__dict__ for layer in model.layers)


def test_bad_input():
    subclassed = models.subclassed().model
    with pytest.raises(ValueError, match="functional or sequential.*Subclassed"):
        uses.uses(subclassed)
    with pytest.raises(ValueError, match=r"inputs of known size.*None, None, 3"):
        uses.uses(through(layers.Dense(2), shape=(None, 3)))


@pytest.mark.parametrize(
    "shape, kept, expected",
    [
        # Dense is less.
        ((100, 10), 1000, 4000),
        # A byte for a place of 100, two for a beginning of 300.
        ((100, 10), 300, 300 * 5 + 11 * 2),
        ((100, 10), 200, 200 * 5 + 11),
        ((1000, 10), 300, 300 * 6 + 11 * 2),
        ((3, 3, 20, 50), 500, 500 * 5 + 451 * 2),
        ((1000, 10), 0, 11),
        ((1000, 10), 255, 255 * 6 + 11),
        ((1000, 10), 256, 256 * 6 + 11 * 2),
        ((1000, 10), 257, 257 * 6 + 11 * 2),
    ],
)
def test_bytes(shape, kept, expected):
    model = keras.Sequential([keras.Input((8, 8, 20) if len(shape) > 2 else shape[:1])])
    model.add(layers.Conv2D(50, 3) if len(shape) > 2 else layers.Dense(shape[1]))
    (kernel,) = kernels.find(model)
    assert kernel.shape == shape
    assert costs.Bytes(model)(kernel, kept) == expected
