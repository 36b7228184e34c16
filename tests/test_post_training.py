"""Pruning by inputs alone, beside least squares and all masks."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers as L
from sweeps import few

import tf_admm
from tf_admm import constraints
from tf_admm.post_training import problem
from tf_admm.structure import kernels
from tf_admm.structure import kinds


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


LAYERS = {
    "dense": (lambda: L.Dense(5), (4,)),
    "dense of a sequence": (lambda: L.Dense(5), (3, 4)),
    "conv": (lambda: L.Conv2D(6, 3), (7, 8, 4)),
    "conv with strides": (lambda: L.Conv2D(6, (3, 2), 2, "same"), (7, 8, 4)),
    "conv, wide": (lambda: L.Conv2D(6, 3, 1, "same", dilation_rate=2), (7, 8, 4)),
    "conv in groups": (lambda: L.Conv2D(6, 3, 2, "same", groups=2), (6, 8, 4)),
    "causal conv": (lambda: L.Conv1D(5, 3, 1, "causal", dilation_rate=2), (9, 4)),
    "conv in space": (lambda: L.Conv3D(3, 2, 1, "same"), (3, 4, 3, 2)),
    "depthwise": (lambda: L.DepthwiseConv2D(3, 2, "same"), (7, 8, 4)),
    "depthwise, two each": (
        lambda: L.DepthwiseConv2D(2, depth_multiplier=2),
        (5, 5, 3),
    ),
    "einsum": (lambda: L.EinsumDense("abc,cd->abd", (3, 5)), (3, 4)),
    "heads": (lambda: L.EinsumDense("abc,cde->abde", (3, 2, 5)), (3, 4)),
    "out of heads": (lambda: L.EinsumDense("abde,def->abf", (3, 5)), (3, 2, 4)),
    "turned": (lambda: L.EinsumDense("abc,bd->acd", (4, 5)), (3, 4)),
    "ellipsis": (lambda: L.EinsumDense("...x,xy->...y", 5), (3, 4)),
}


@pytest.mark.parametrize("make, shape", LAYERS.values(), ids=LAYERS)
def test_rows_times_the_kernel_are_the_outputs(make, shape):
    x = normal(2, *shape)
    model = keras.Sequential([keras.Input(shape), make()])
    (kernel,) = kernels.find(model)
    rows = kinds.rows(kernel, x)
    units = np.eye(rows.shape[-1], dtype="float32")[None].repeat(len(rows), axis=0)
    of = problem.Problem(kernel, kernel.variable, units, units)
    out = np.moveaxis(rows @ of.split(kernel.variable), 0, 1)
    expected = np.array(model(x))
    assert sorted(out.ravel()) == pytest.approx(sorted(expected.ravel()), abs=1e-5)
    last = out.reshape(-1, out.shape[1] * out.shape[2])
    if kernel.layer.name.startswith(("dense", "conv", "depthwise")):
        np.testing.assert_allclose(
            last, expected.reshape(-1, expected.shape[-1]), atol=1e-5
        )


def correlated(n, inputs, seed):
    """Inputs that are far from independent, as those of a network are."""
    mixing = normal(inputs, inputs, seed=seed) + 1.0
    return normal(n, inputs, seed=seed + 1) @ mixing


def least_loss(x, w, mask):
    """`||X W - X V||^2 / ||X W||^2` of the best V on a mask, by least squares."""
    lost = 0.0
    for column, kept in zip(w.T, mask.T):
        y = x @ column
        v = np.linalg.lstsq(x[:, kept], y, rcond=None)[0]
        lost += np.sum((y - x[:, kept] @ v) ** 2)
    return lost / np.sum((x @ w) ** 2)


def pruned(x, w, constraint):
    model = keras.Sequential([keras.Input(w.shape[:1]), L.Dense(w.shape[1], name="fc")])
    model.set_weights([w, np.zeros(w.shape[1])])
    _, report = tf_admm.prune_post_training(model, x, constraint, verbose=0)
    return np.array(model.layers[0].kernel), report


@pytest.mark.parametrize("seed", range(6))
def test_near_the_best_of_all_masks(seed):
    x, w = correlated(80, 8, 10 * seed), normal(8, 1, seed=seed)
    masks = [
        np.isin(np.arange(8), kept)[:, None]
        for kept in itertools.combinations(range(8), 4)
    ]
    losses = sorted(least_loss(x, w, mask) for mask in masks)
    v, _ = pruned(x, w, constraints.Sparsity(0.5))
    lost = np.sum((x @ (w - v)) ** 2) / np.sum((x @ w) ** 2)
    assert np.count_nonzero(v) == 4
    # Among the best tenth of 70; the damping moves it a little.
    assert losses[0] * 0.999 <= lost <= losses[7]


@pytest.mark.parametrize("sparsity", [0.3, 0.6, 0.9])
def test_weights_are_the_least_squares_on_their_mask(sparsity):
    x, w = correlated(300, 20, 1), normal(20, 12)
    v, report = pruned(x, w, constraints.Sparsity(sparsity))
    lost = np.sum((x @ (w - v)) ** 2) / np.sum((x @ w) ** 2)
    assert lost <= 1.05 * least_loss(x, w, v != 0) + 1e-4
    magnitude = np.abs(w) >= np.sort(np.abs(w).ravel())[-np.count_nonzero(v)]
    assert lost < np.sum((x @ (w * ~magnitude)) ** 2) / np.sum((x @ w) ** 2)
    assert report.rows[0].loss < report.rows[0].projected


def columns_by_energy(x, w, kept):
    """Which columns of `x @ w` have the most energy: what filters can keep at best."""
    energy = np.sum((x @ w) ** 2, axis=0)
    return np.argsort(energy)[-kept:]


CANCELLING = np.array([[3, 1], [-3, 1]], "float32")


def cancelling(n=200):
    """Two inputs that are nearly the same."""
    first, noise = normal(n, 1), normal(n, 1, seed=1)
    return np.concatenate([first, first + 0.01 * noise], axis=1)


@pytest.mark.parametrize("seed", [*range(4), None])
def test_the_filters_that_put_out_most_are_kept(seed):
    if seed is None:
        x, w = cancelling(), CANCELLING
    else:
        x, w = np.cumsum(normal(139, 14, seed=seed), 1), normal(14, 18, seed=seed + 50)
    v, _ = pruned(x, w, constraints.FilterSparsity(0.5))
    expected = columns_by_energy(x, w, w.shape[1] // 2)
    assert set(np.flatnonzero(v.any(axis=0))) == set(expected)


def test_channels_of_a_group_that_put_out_most_are_kept():
    model = keras.Sequential(
        [keras.Input((2,)), L.Dense(2, use_bias=False), L.Dense(3, use_bias=False)]
    )
    model.set_weights([CANCELLING, np.ones((2, 3))])
    half = constraints.GroupSparsity(0.5)
    tf_admm.prune_post_training(model, cancelling(), half, verbose=0)
    assert np.array(model.layers[0].kernel).any(axis=0).tolist() == [False, True]


def test_a_shared_budget_keeps_what_puts_out_most():
    """Two layers side by side, one of them of weights that are large to no purpose."""
    inputs = [keras.Input((6,)), keras.Input((6,))]
    layers = [L.Dense(4, use_bias=False, name=name) for name in "ab"]
    model = keras.Model(inputs, [layer(x) for layer, x in zip(layers, inputs)])
    ws = [normal(6, 4), 10 * normal(6, 4, seed=1)]
    model.set_weights(ws)
    xs = [normal(60, 6, seed=2), 0.1 * normal(60, 6, seed=3)]
    tf_admm.prune_post_training(model, xs, sparsity=0.5, verbose=0)

    def lost(vs):
        parts = zip(xs, ws, vs)
        return sum(
            np.sum((x @ (w - v)) ** 2) / np.sum((x @ w) ** 2) for x, w, v in parts
        )

    least = np.sort(np.abs(np.concatenate(ws)).ravel())[24]
    magnitude = [np.where(np.abs(w) >= least, w, 0) for w in ws]
    found = model.get_weights()
    assert sum(np.count_nonzero(v) for v in found) == 24
    assert lost(found) < 0.5 * lost(magnitude)


def test_a_set_that_couples_no_kernels_is_as_one_for_each():
    x, found = correlated(80, 8, 3), []
    for sets in (
        constraints.Sparsity(0.5),
        {name: constraints.Sparsity(0.5) for name in "ab"},
    ):
        model = keras.Sequential(
            [keras.Input((8,)), L.Dense(9, "relu", name="a"), L.Dense(5, name="b")]
        )
        shapes = [w.shape for w in model.get_weights()]
        model.set_weights([normal(*shape, seed=i) for i, shape in enumerate(shapes)])
        tf_admm.prune_post_training(model, x, sets, verbose=0)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


NEAREST = {
    "single": constraints.Sparsity(0.5),
    "most": constraints.Sparsity(0.9),
    "clusters": constraints.Clusters(4),
    "levels": constraints.Levels.uniform(3),
}


@pytest.mark.parametrize("name", few(LAYERS, "dense", "conv, wide", "depthwise"))
@pytest.mark.parametrize("constraint", NEAREST.values(), ids=NEAREST)
def test_no_worse_than_the_nearest_member(name, constraint):
    make, shape = LAYERS[name]
    x = normal(16, *shape) + 1.0
    model = keras.Sequential([keras.Input(shape), make()])
    (kernel,) = kernels.find(model)
    model.set_weights([normal(*w.shape, seed=7) for w in model.get_weights()])
    trained, expected = np.array(kernel.variable), np.array(model(x))
    _, report = tf_admm.prune_post_training(model, x, constraint, verbose=0)
    lost = np.sum((np.array(model(x)) - expected) ** 2)
    kernel.variable.assign(
        kernel.original(constraint(kernel.canonical(keras.ops.array(trained))))
    )
    worse = np.sum((np.array(model(x)) - expected) ** 2)
    assert lost <= worse * (1 + 1e-5)
    assert report.rows[0].loss <= report.rows[0].projected


def convnet():
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((6, 6, 3))
    x = L.Conv2D(8, 3, padding="same", use_bias=False, name="conv1")(x)
    x = L.BatchNormalization(name="norm")(x)
    y = x = L.ReLU()(x)
    x = L.SeparableConv2D(8, 3, padding="same", activation="relu", name="conv2")(x)
    x = L.Add()([x, y])
    x = L.Flatten()(x)
    shared = L.Dense(16, "relu", name="shared")
    x = shared(L.Dense(16, "relu", name="fc")(x))
    x = shared(x)
    model = keras.Model(inputs, L.Dense(4, name="head")(x))
    model.get_layer("norm").set_weights([normal(8, seed=i) ** 2 for i in range(4)])
    return model


SETS = {
    "single": constraints.Sparsity(0.6),
    "filters": {"conv1|fc": constraints.FilterSparsity(0.5)},
    "blocks": {"fc": constraints.BlockSparsity(0.5, (4, 1))},
    "n of m": {"fc|head": constraints.NMSparsity(2, 4)},
    "global": constraints.GlobalSparsity(0.7),
    "groups": {"conv1|fc": constraints.GroupSparsity(0.5)},
    "levels": {"fc": constraints.Levels.ternary()},
    "sparse levels": {
        "fc": constraints.Intersection(
            constraints.Sparsity(0.5), constraints.Levels.uniform(4)
        )
    },
}


@pytest.mark.parametrize("name", few(SETS, "n of m", "groups"))
def test_each_kind_of_set_is_met_and_loses_less_than_a_projection(name):
    sets = SETS[name]
    x = normal(64, 6, 6, 3)
    model, projected = convnet(), convnet()
    expected = model.predict(x, verbose=0)
    found, report = tf_admm.prune_post_training(model, x, sets, verbose=0)
    assert found is model
    by_projection = tf_admm.ADMMModel(projected, sets, rho=0.0)
    by_projection.finalize()
    tf_admm.ADMMModel(model, sets, rho=0.0).finalize()
    assert [np.count_nonzero(w) for w in model.get_weights()] == [
        np.count_nonzero(w) for w in found.get_weights()
    ]
    lost, worse = (
        np.sum((m.predict(x, verbose=0) - expected) ** 2) for m in (model, projected)
    )
    assert 0 < lost < worse
    solved = {row.path for row in report.rows if row.loss is not None}
    assert "conv2/pointwise_kernel" not in solved and solved


class Mixing(L.Layer):
    """A cell of one's own, with a layer in it."""

    def __init__(self, units):
        super().__init__()
        self.state_size, self.mix = units, L.Dense(units, name="mix")

    def build(self, shape):
        self.mix.build((None, shape[-1] + self.state_size))

    def call(self, x, states):
        h = keras.ops.tanh(self.mix(keras.ops.concatenate([x, states[0]], axis=-1)))
        return h, [h]


RECURRENT = {
    "lstm": lambda: L.LSTM(4),
    "gru": lambda: L.GRU(4),
    "both ways": lambda: L.Bidirectional(L.LSTM(4)),
    "of one's own": lambda: L.RNN(Mixing(4)),
}


@pytest.mark.parametrize("name", few(RECURRENT, "lstm"))
def test_recurrent_kernels_are_projected(name):
    model = keras.Sequential(
        [keras.Input((5, 3)), RECURRENT[name](), L.Dense(6, name="head")]
    )
    trained = [np.array(kernel.variable) for kernel in kernels.find(model)]
    _, report = tf_admm.prune_post_training(
        model, normal(20, 5, 3), constraints.Sparsity(0.5), verbose=0
    )
    assert report.rows[-1].path == "head/kernel" and report.rows[-1].loss is not None
    for kernel, w, row in zip(kernels.find(model), trained, report.rows, strict=True):
        v = np.array(kernel.variable)
        assert np.count_nonzero(v) == w.size // 2
        if row.loss is None:
            least = np.sort(np.abs(w).ravel())[w.size // 2]
            np.testing.assert_array_equal(v, np.where(np.abs(w) >= least, w, 0))


def test_states_are_as_they_were():
    lstm = L.LSTM(4, stateful=True)
    model = keras.Sequential([keras.Input((5, 3), batch_size=8), lstm, L.Dense(6)])
    model(normal(8, 5, 3, seed=1))
    before = [np.array(state) for state in lstm.states]
    tf_admm.prune_post_training(model, normal(8, 5, 3), sparsity=0.5, verbose=0)
    assert all(state.any() for state in before)
    for state, old in zip(lstm.states, before, strict=True):
        np.testing.assert_array_equal(np.array(state), old)
    assert np.count_nonzero(lstm.cell.kernel) < lstm.cell.kernel.shape[0] * 16


def test_a_kernel_that_is_not_finite_is_named():
    model = convnet()
    broken = model.get_layer("fc").kernel
    broken.assign(np.full(broken.shape, np.nan))
    before = model.get_weights()
    with pytest.raises(ValueError, match="finite weights.*'fc/kernel'"):
        tf_admm.prune_post_training(model, normal(4, 6, 6, 3), sparsity=0.5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_layer_that_reads_no_finite_numbers_is_named():
    model = convnet()
    beta = model.get_layer("norm").beta
    beta.assign(np.full(beta.shape, np.inf))
    with pytest.raises(ValueError, match="'conv2/depthwise_kernel'.*finite"):
        tf_admm.prune_post_training(
            model, normal(4, 6, 6, 3), constraints.Sparsity(0.5)
        )


def test_one_fraction_of_zeros_for_all():
    model, report = tf_admm.prune_post_training(
        convnet(), normal(32, 6, 6, 3), sparsity=0.8, verbose=0
    )
    assert (
        sum(row.kept for row in report.rows)
        <= 0.2 * sum(row.total for row in report.rows) + 1
    )
    assert "conv1/kernel" in repr(report) and "%" in repr(report)


@pytest.mark.parametrize(
    "samples, options, said",
    [
        (normal(0, 6, 6, 3), {"sparsity": 0.5}, "one or more inputs"),
        (np.full((2, 6, 6, 3), np.nan), {"sparsity": 0.5}, "finite"),
        (normal(2, 6, 6, 3), {}, "either `constraints` or `sparsity`"),
        (normal(2, 6, 6, 3), {"sparsity": 1.5}, "sparsity=1.5"),
        (normal(2, 9, 9, 5), {"sparsity": 0.5}, "`samples` .*shape"),
        (normal(2, 3), {"sparsity": 0.5}, "`samples` .*shape"),
        (np.array(["a", "b"]), {"sparsity": 0.5}, "`samples` .*U1"),
        ("abc", {"sparsity": 0.5}, "`samples` .*U3"),
        ((x for x in ()), {"sparsity": 0.5}, "`samples` .*generator"),
        ({"nothing": normal(2, 6, 6, 3)}, {"sparsity": 0.5}, "`samples` .*dict"),
        ((normal(2, 6, 6, 3), normal(2)), {"sparsity": 0.5}, "`samples` .*each input"),
        (normal(2, 6, 6, 3), {"constraints": {"nothing": None}}, "nothing"),
    ],
)
def test_bad_input_leaves_the_model_alone(samples, options, said):
    model = convnet()
    before = model.get_weights()
    with pytest.raises(ValueError, match=said):
        tf_admm.prune_post_training(model, samples, **options)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model(normal(2, 6, 6, 3)).shape == (2, 4)
