"""One budget spent over channel groups: what `shrink` really leaves."""

import keras
import numpy as np
import pytest
import test_channel_groups as graphs
from sweeps import few

import tf_admm
from tf_admm.allocation import bounds
from tf_admm.constraints import GroupSparsity
from tf_admm.structure import kernels
from tf_admm.structure import uses

SLOW = ("bytes", "nonzeros", "ratio")
METHODS = ("uniform", "erk", "magnitude", "sensitivity")
SOME = [
    "residual",
    "joined",
    "squeeze_and_excite",
    "grouped",
    "multiplier",
    "separable",
]
SOME += ["depthwise_norm", "attention", "gru", "flat", "shared", "tokens", "scaled"]


def left(model, budget, x):
    """The budget's own count of a model."""
    if budget == "bytes":
        return 4 * model.count_params()
    found = kernels.find(model)
    if budget == "macs":
        counts = uses.uses(model, x)
        return sum(counts.get(id(k.variable), 0) * k.size for k in found)
    return sum(k.size for k in found)


def pruned(model, allocation):
    """The model that the allocation leaves, cut at once."""
    admm = tf_admm.ADMMModel(model, allocation)
    admm.finalize()
    return tf_admm.shrink(model)[0]


def compiled(case):
    model = graphs.made(graphs.CASES[case][0])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def data_of(model):
    x = graphs.inputs_of(model, rows=8)
    return x, np.arange(8) % 3


@pytest.mark.parametrize("case", few(SOME, "residual", "attention"))
@pytest.mark.parametrize(
    "budget",
    few(["macs", *SLOW], "macs"),
)
def test_the_budget_is_what_is_left(case, budget):
    model = compiled(case)
    x, _ = data_of(model)
    full = left(model, budget, x)
    wanted = 2.0 if budget == "ratio" else int(0.5 * full)
    allocation = tf_admm.allocate(
        model, structure="channels", method="uniform", samples=x, **{budget: wanted}
    )
    assert all(isinstance(c, GroupSparsity) for c in allocation.values())
    groups = tf_admm.channel_groups(model, verbose=0)
    kept = {
        name: constraint.kept(groups.named(name).channels)
        for name, constraint in allocation.items()
    }
    small = pruned(model, allocation)
    limit = full / wanted if budget == "ratio" else wanted
    assert left(small, budget, x) <= limit
    # One channel more of any group is too much.
    for name in kept if budget in SLOW else list(kept)[:1]:
        group = groups.named(name)
        if kept[name] < group.channels:
            more = 1 - (kept[name] + 1) / group.channels
            again = compiled(case)
            bigger = pruned(again, {**allocation, name: GroupSparsity(more)})
            assert left(bigger, budget, x) > limit, name


@pytest.mark.parametrize("method", few(METHODS, "uniform", "sensitivity"))
@pytest.mark.parametrize("case", ["residual"])
def test_methods(case, method):
    model = compiled(case)
    x, y = data_of(model)
    before = [np.array(w) for w in model.weights]
    limit = int(0.4 * left(model, "macs", x))
    allocation = tf_admm.allocate(
        model, macs=limit, structure="channels", method=method, data=(x, y)
    )
    for old, w in zip(before, model.weights):
        np.testing.assert_array_equal(old, np.array(w))
    assert left(pruned(model, allocation), "macs", x) <= limit


@pytest.mark.slow
def test_a_group_that_matters_is_kept(tmp_path):
    """Half of one group's channels are zero already: the loss says so."""
    model = compiled("residual")
    groups = tf_admm.channel_groups(model, verbose=0)
    graphs.kill(groups.named("b"), np.arange(4))
    x, y = data_of(model)
    limit = int(0.75 * left(model, "macs", x))
    kwargs = {"structure": "channels", "method": "sensitivity", "data": (x, y)}
    cache = tmp_path / "losses.json"
    allocation = tf_admm.allocate(model, macs=limit, cache=cache, **kwargs)
    assert allocation["b"].fraction >= 0.5
    assert tf_admm.allocate(model, macs=limit, cache=cache, **kwargs).keys()


#: Layers of `wide`, and their filters.
WIDE = {"a": 40, "b": 64, "c": 12}


def wide():
    x = inputs = keras.Input((4, 4, 3))
    for name, filters in WIDE.items():
        x = keras.layers.Conv2D(filters, 3, padding="same", name=name)(x)
    outputs = keras.layers.Dense(5)(keras.layers.Flatten()(x))
    return keras.Model(inputs, outputs)


def macs_of_wide(kept):
    a, b, c = kept.values()
    return 16 * (9 * (3 * a + a * b + b * c) + 5 * c)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.05])
@pytest.mark.parametrize("method", ["uniform", "erk", "magnitude"])
def test_whole_tiles(method, share):
    limit = int(share * macs_of_wide(WIDE))
    allocation = tf_admm.allocate(
        wide(), macs=limit, structure="channels", method=method, tile=16
    )
    kept = {name: allocation[name].kept(count) for name, count in WIDE.items()}
    assert macs_of_wide(kept) <= limit
    for name, count in WIDE.items():
        assert kept[name] < 16 or kept[name] % 16 == 0 or kept[name] == count
        # One tile more of any group is too much.
        if kept[name] < count:
            more = min(count, kept[name] + (16 if kept[name] >= 16 else 1))
            assert macs_of_wide({**kept, name: more}) > limit, name


def test_a_tile_is_of_outputs_of_a_kernel():
    """A channel of a group may be several of them, such as a head of attention."""
    model = compiled("attention")
    x, _ = data_of(model)
    kwargs = {"macs": int(0.5 * left(model, "macs", x)), "samples": x}
    kwargs |= {"structure": "channels", "method": "uniform"}
    groups = tf_admm.channel_groups(model, verbose=0)
    allocation = tf_admm.allocate(model, tile=4, **kwargs)
    for name, constraint in allocation.items():
        group = groups.named(name)
        width = min(part.index.shape[1] for part in group.producers)
        kept = constraint.kept(group.channels) * width
        assert kept < 4 or kept % 4 == 0 or kept == group.channels * width


def test_a_share_is_of_the_whole_model():
    model = wide()
    whole = left(model, "macs", None)
    options = {"structure": "channels", "verbose": 0}
    share = tf_admm.allocate(model, macs=0.4, **options)
    count = tf_admm.allocate(model, macs=int(0.4 * whole), **options)
    assert share.items() and {k: v.fraction for k, v in share.items()} == {
        k: v.fraction for k, v in count.items()
    }


@pytest.mark.parametrize("tile", [0, -1, 1.5, "8", None])
def test_a_tile_that_is_none(tile):
    with pytest.raises(ValueError, match="`tile`.*positive int.*Received: tile="):
        tf_admm.allocate(wide(), ratio=2, structure="channels", tile=tile)
    with pytest.raises(ValueError, match="`tile` with structure='channels'"):
        tf_admm.allocate(wide(), ratio=2, tile=8)


def test_a_file(tmp_path):
    model = compiled("residual")
    allocation = tf_admm.allocate(model, ratio=3, structure="channels")
    allocation.save(tmp_path / "a.json")
    again = tf_admm.Allocation.load(tmp_path / "a.json")
    assert {k: v.fraction for k, v in again.items()} == {
        k: v.fraction for k, v in allocation.items()
    }


def test_what_can_not_be():
    model = compiled("residual")
    with pytest.raises(ValueError, match="nearest is macs=.*'head'.*an output"):
        tf_admm.allocate(model, macs=10, structure="channels")
    with pytest.raises(ValueError, match="nearest is macs=0.*Received: macs=0.001$"):
        tf_admm.allocate(model, macs=0.001, structure="channels")
    with pytest.raises(ValueError, match="nothing is pruned"):
        tf_admm.allocate(model, macs=10**9, structure="channels")
    with pytest.raises(ValueError, match="'a'.*excluded|excluded.*'a'"):
        tf_admm.allocate(model, macs=10, structure="channels", exclude=["a"])
    with pytest.raises(ValueError, match="name of a channel group.*'nowhere'"):
        tf_admm.allocate(model, ratio=2, structure="channels", exclude=["nowhere"])
    with pytest.raises(ValueError, match="`structure`.*'filters'"):
        tf_admm.allocate(model, ratio=2, structure="filters")


@pytest.mark.parametrize("seed", range(5))
def test_one_bound_for_the_loss_of_each(seed):
    """By the curves: none has risen less than any other, as a share of its most."""
    rng = np.random.default_rng(seed)
    at = [1.0, 0.7, 0.5, 0.25, 0.1, 0.0]
    curves = [
        list(zip(at, np.r_[0.5, 0.5 + np.cumsum(rng.exponential(size=5) * scale)]))
        for scale in (0.1, 1.0, 10.0)
    ]
    # A loss may fall again: what was lost before counts.
    curves.append(list(zip(at, [0.5, 2.0, 1.0, 1.5, 3.0, 2.5])))
    level = bounds.even(curves)
    before = [0.0] * len(curves)
    for t in np.linspace(0, 1, 41):
        densities = level(t)
        assert all(b <= d for b, d in zip(before, densities))
        losses = []
        for curve, density in zip(curves, densities):
            d, loss = np.array(curve).T
            worst = np.maximum.accumulate(loss)
            share = (worst - worst[0]) / (worst[-1] - worst[0])
            losses.append(np.interp(density, d[::-1], share[::-1]))
        np.testing.assert_allclose(losses, max(losses), atol=1e-9)
        before = densities
    assert level(1.0) == [1.0] * len(curves) and level(0.0) == [0.0] * len(curves)


def test_a_part_whose_loss_is_a_guess_is_not_taken_whole():
    """The last channels: the loss rises to 2.3, and to 20 without the first ones."""
    at = (1.0, 0.7, 0.5, 0.25, 0.1, 0.0)
    first = list(zip(at, (0.1, 1.2, 4.3, 7.3, 15.0, 20.0)))
    last = list(zip(at, (0.1, 0.4, 0.8, 1.3, 2.0, 2.3)))
    level = bounds.even([first, last])
    for t in np.linspace(0.05, 1, 20):
        a, b = level(t)
        assert b > a / 2
