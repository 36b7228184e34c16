import keras
import numpy as np
import pytest
from keras import layers

import tf_admm
from tf_admm.constraints import Sparsity


def lenet():
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv1"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(10, activation="relu", name="fc1"),
            layers.Dense(3, name="fc2"),
        ]
    )


def transposed():
    return keras.Sequential(
        [keras.Input((4, 4, 3)), layers.Conv2DTranspose(5, 2, name="up")]
    )


def depthwise():
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="dw"),
            layers.SeparableConv2D(5, 2, name="sep"),
        ]
    )


def attention():
    inputs = keras.Input((4, 6))
    outputs = layers.MultiHeadAttention(2, 3, name="mha")(inputs, inputs)
    return keras.Model(inputs, layers.LayerNormalization()(outputs))


#: A model; of each kernel the path, and the axes of its output units; how many
#: parameters there are besides, counted by hand.
CASES = {
    "lenet": (
        lenet,
        [("conv1/kernel", (3,)), ("fc1/kernel", (1,)), ("fc2/kernel", (1,))],
        4 + 4 * 4 + 10 + 3,
    ),
    "transposed": (transposed, [("up/kernel", (2,))], 5),
    "depthwise": (
        depthwise,
        [
            ("dw/kernel", (2, 3)),
            ("sep/depthwise_kernel", (2, 3)),
            ("sep/pointwise_kernel", (3,)),
        ],
        6 + 5,
    ),
    "attention": (
        attention,
        [
            ("mha/query/kernel", (1, 2)),
            ("mha/key/kernel", (1, 2)),
            ("mha/value/kernel", (1, 2)),
            ("mha/attention_output/kernel", (2,)),
        ],
        3 * 6 + 6 + 2 * 6,
    ),
}


def punch(model):
    """Zero some weights, whole units among them; the kernels, in order."""
    rng = np.random.default_rng(0)
    punched = []
    for variable in model.weights:
        if "kernel" in variable.name:
            w = rng.normal(size=variable.shape).astype("float32")
            w[rng.random(w.shape) < 0.6] = 0.0
            w[..., 0] = 0.0
            w[..., :1, :] = 0.0
            variable.assign(w)
            punched.append(w)
    return punched


@pytest.mark.parametrize("build, paths, others", CASES.values(), ids=CASES)
def test_counts(build, paths, others, capsys):
    model = build()
    punched = punch(model)
    result = tf_admm.summary(model)

    kept = total = 0
    for row, w, (path, outputs) in zip(result.rows, punched, paths, strict=True):
        units = np.moveaxis(w, outputs, range(len(outputs)))
        units = units.reshape(*units.shape[: len(outputs)], -1)
        live = sum(np.any(units[i]) for i in np.ndindex(*units.shape[:-1]))
        assert (row.path, row.shape) == (path, w.shape)
        assert row.kept == np.count_nonzero(w) and row.total == w.size
        assert row.sparsity == pytest.approx(np.mean(w == 0))
        assert row.live == live
        assert row.units == np.prod([w.shape[axis] for axis in outputs])
        assert row.live < row.units
        kept += np.count_nonzero(w)
        total += w.size
    assert (result.kept, result.total) == (kept, total)
    assert result.parameters == model.count_params() == total + others
    assert result.ratio == pytest.approx(total / kept)
    assert result.parameter_ratio == pytest.approx((total + others) / (kept + others))

    printed = capsys.readouterr().out
    for text in (f"{kept:,}", f"{total:,}", f"{total + others:,}"):
        assert text in printed
    assert f"{total / kept:.1f}x" in printed


def test_of_a_pruned_model(capsys):
    model = lenet()
    admm = tf_admm.ADMMModel(model, {"conv1": Sparsity(0.5), "fc1": Sparsity(0.9)})
    admm.finalize()
    result = tf_admm.summary(admm.model)
    # 9 * 4 -> 18, 400 * 10 -> 400, and all of 10 * 3.
    assert [row.kept for row in result.rows] == [18, 400, 30]
    assert [row.total for row in result.rows] == [36, 4000, 30]
    assert result.ratio == pytest.approx(4066 / 448)
    assert result.parameter_ratio == pytest.approx(4099 / 481)


def test_nothing_kept(capsys):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, use_bias=False)])
    model.layers[0].kernel.assign(np.zeros((3, 2)))
    result = tf_admm.summary(model)
    assert (result.kept, result.rows[0].live, result.rows[0].sparsity) == (0, 0, 1.0)
    assert result.ratio == result.parameter_ratio == 6.0


def test_nothing_to_prune(capsys):
    model = keras.Sequential([keras.Input((3,)), layers.BatchNormalization()])
    result = tf_admm.summary(model)
    assert result.rows == [] and result.parameters == 12
    assert result.parameter_ratio == 1.0


def test_shared_layer_counts_once(capsys):
    inputs = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    model = keras.Model(inputs, shared(shared(inputs)))
    result = tf_admm.summary(model)
    assert [row.path for row in result.rows] == ["shared/kernel"]
    assert (result.total, result.parameters) == (16, 20)
