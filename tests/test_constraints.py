"""The contract that every set meets, and what holds for `Sparsity` alone.

A new set is one row of `MASKS` or `VALUES`, with an oracle of `oracles.py`.
"""

import math
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import Units
from sweeps import few

import tf_admm
from tf_admm.constraints import BlockSparsity
from tf_admm.constraints import ChannelSparsity
from tf_admm.constraints import Clusters
from tf_admm.constraints import ColumnSparsity
from tf_admm.constraints import FilterSparsity
from tf_admm.constraints import GlobalSparsity
from tf_admm.constraints import Intersection
from tf_admm.constraints import KernelSparsity
from tf_admm.constraints import Levels
from tf_admm.constraints import MaskConstraint
from tf_admm.constraints import NMSparsity
from tf_admm.constraints import PatternSparsity
from tf_admm.constraints import SetConstraint
from tf_admm.constraints import Sparsity
from tf_admm.constraints import UnitSparsity
from tf_admm.constraints import ValueConstraint
from tf_admm.constraints import counting
from tf_admm.constraints import selection
from tf_admm.constraints.patterns import FOUR_OF_NINE
from tf_admm.constraints.selection import largest

DENSE, CONV1D, CONV2D = (6, 5), (3, 2, 4), (3, 3, 2, 4)
CONV3D, DEPTHWISE, PIXEL = (2, 2, 2, 2, 3), (3, 3, 1, 4), (1, 1, 4, 3)
MATRICES = (DENSE, CONV1D, CONV2D, CONV3D, PIXEL)
ANY = (*MATRICES, DEPTHWISE, (7,), (1, 1))
DTYPES = ("float16", "bfloat16", "float32", "float64")


class Case(NamedTuple):
    """A set, its oracle, shapes it fits, and small ones to try all members of."""

    constraint: SetConstraint
    oracle: Any
    shapes: tuple
    small: tuple


def rate(cls, sparsity, label, shapes=MATRICES, small=((2, 3), (2, 2, 2), (1, 2, 3))):
    return Case(cls(sparsity), Units(sparsity, label), shapes, small)


def blocks(block):
    """The block that an index is in; `block` is along the last axes."""

    def label(index, shape):
        sizes = (1,) * (len(shape) - len(block)) + block
        return tuple(i // b for i, b in zip(index, sizes))

    return label


SINGLE = ((1,), (2, 3), (2, 2, 2), (3, 3))
CORNERS = [[[1, 1], [0, 0]], [[0, 1], [0, 1]], [[1, 0], [0, 1]]]
MASKS = {
    **{
        f"sparsity_{s}": rate(Sparsity, s, lambda i, _: i, ANY, SINGLE)
        for s in (0.0, 0.3, 0.92, 1.0)
    },
    **{
        f"filters_{s}": rate(
            FilterSparsity, s, lambda i, _: i[-1], (*MATRICES, DEPTHWISE)
        )
        for s in (0.0, 0.5, 1.0)
    },
    "channels": rate(ChannelSparsity, 0.5, lambda i, _: i[-2]),
    "columns": rate(ColumnSparsity, 0.7, lambda i, _: i[:-1]),
    "kernels": rate(KernelSparsity, 0.6, lambda i, _: i[-2:], (*MATRICES, DEPTHWISE)),
    **{
        f"blocks_{'x'.join(map(str, block))}": Case(
            BlockSparsity(0.5, block), Units(0.5, blocks(block)), shapes, small
        )
        for block, shapes, small in (
            ((2, 1), MATRICES, ((3, 3), (2, 2, 2))),
            ((4, 1), (DENSE, PIXEL, (16, 3)), ((5, 2), (8, 2))),
            ((16, 1), ((16, 3), (40, 2)), ((17, 2),)),
            ((2, 2), (DENSE, CONV2D), ((3, 3), (2, 3))),
            ((3, 3, 1, 1), (CONV2D, DEPTHWISE), ((3, 3, 1, 2), (4, 3, 1, 2))),
            ((5,), (DENSE, (7,)), ((2, 5), (7,))),
        )
    },
    **{
        f"{n}_of_{m}_{axis}": Case(
            NMSparsity(n, m, axis), oracles.NOfM(n, m, axis), shapes, small
        )
        for n, m, axis, shapes, small in (
            (2, 4, -2, ((8, 5), PIXEL, (3, 3, 4, 2)), ((4, 2), (8, 1))),
            (1, 2, -2, (DENSE, CONV1D, CONV2D), ((2, 3), (4, 2))),
            (1, 2, -1, (CONV1D, CONV2D), ((2, 2), (1, 4))),
            (3, 3, 0, (DENSE, CONV1D, CONV2D), ((3, 2),)),
            (1, 3, 1, (CONV2D, DEPTHWISE), ((2, 3),)),
        )
    },
    "patterns": Case(
        PatternSparsity(),
        oracles.Patterns(FOUR_OF_NINE, 0.0),
        (CONV2D, DEPTHWISE),
        ((3, 3, 1, 2), (3, 3, 2, 1)),
    ),
    "patterns_connected": Case(
        PatternSparsity(CORNERS, connectivity=0.5),
        oracles.Patterns(CORNERS, 0.5),
        ((2, 2, 3, 2), (2, 2, 1, 1)),
        ((2, 2, 2, 2), (2, 2, 1, 3)),
    ),
    "global": Case(GlobalSparsity(0.6), Units(0.6, lambda i, _: i), ANY, SINGLE),
}
FEW = ((1, 1), (2, 2), (5, 1))
ALIKE = (DENSE, CONV2D, DEPTHWISE, (7,), (1, 1))
VALUES = {
    "binary": Case(Levels.binary(), oracles.Scaled((-1, 1)), ALIKE, FEW),
    "ternary": Case(Levels.ternary(), oracles.Scaled((-1, 0, 1)), ALIKE, FEW),
    "three_bits": Case(Levels.uniform(3), oracles.Scaled(range(-3, 4)), ALIKE, FEW),
    "powers": Case(
        Levels.powers_of_two(3),
        oracles.Scaled((-1, -0.5, -0.25, 0, 0.25, 0.5, 1)),
        ALIKE,
        FEW,
    ),
    "per_channel": Case(
        Levels.ternary(per_channel=True),
        oracles.Scaled((-1, 0, 1), per_channel=True),
        MATRICES,
        ((2, 2), (3, 2), (1, 3)),
    ),
    **{
        f"clusters_{k}": Case(Clusters(k), oracles.FewValues(k), ALIKE, FEW)
        for k in (1, 2, 3)
    },
    "sparse_binary": Case(
        Intersection(Sparsity(0.5), Levels.binary()),
        oracles.Both(Units(0.5, lambda i, _: i), oracles.Scaled((-1, 1))),
        (DENSE, CONV2D, DEPTHWISE),
        ((2, 3), (5, 1)),
    ),
    "sparse_levels": Case(
        Intersection(Sparsity(0.4), Levels((-2, -1, 1, 2))),
        oracles.Both(Units(0.4, lambda i, _: i), oracles.Scaled((-2, -1, 1, 2))),
        (DENSE, CONV2D, DEPTHWISE),
        ((2, 3), (5, 1)),
    ),
}
CASES = {**MASKS, **VALUES}


def each(cases):
    """Each case of a table, once."""
    return pytest.mark.parametrize("case", cases.values(), ids=cases)


def each_class(cases):
    """As `each`; all but the first of a class, and per channel, are slow."""
    first = {}
    for name, (constraint, *_) in cases.items():
        per_channel = constraint.get_config().get("per_channel")
        first.setdefault((type(constraint), per_channel), name)
    fast = set(first.values())
    params = [
        pytest.param(case, id=name, marks=() if name in fast else pytest.mark.slow)
        for name, case in cases.items()
    ]
    return pytest.mark.parametrize("case", params)


def each_shape(cases, which="shapes"):
    """Each case at each of its shapes."""
    rows = [(n, c, s) for n, c in cases.items() for s in getattr(c, which)]
    return pytest.mark.parametrize(
        "case, shape",
        [(c, s) for _, c, s in rows],
        ids=[f"{n}-{'x'.join(map(str, s))}" for n, _, s in rows],
    )


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def tied(shape):
    """Tensors full of equal magnitudes."""
    size = int(np.prod(shape))
    alternating = np.resize([1.0, -1.0], size)
    few = np.resize([2.0, -1.0, 1.0, 0.0, -2.0, 1.0, -0.0], size)
    tensors = (np.ones(size), np.zeros(size), -np.zeros(size), alternating, few)
    return [t.astype("float32").reshape(shape) for t in tensors]


def project(constraint, w):
    return np.array(constraint(w))


def close(case, got, expected):
    """Masks bit for bit; values up to the rounding of a scale or mean."""
    if isinstance(case.constraint, MaskConstraint):
        np.testing.assert_array_equal(got, expected)
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@each_shape(MASKS)
def test_projection_is_the_naive_one(case, shape):
    for w in (normal(shape), *tied(shape)):
        np.testing.assert_array_equal(
            project(case.constraint, w), case.oracle.project(w)
        )


@each_shape(CASES)
def test_projection_is_feasible_and_idempotent(case, shape):
    few = tied(shape)[-1]
    for w in (few, 1e-30 * normal(shape), 1e30 * normal(shape)):
        z = project(case.constraint, w)
        assert np.isfinite(z).all()
        # A scale or mean of huge or tiny values.
        unit = z / max(np.abs(w).max(), 1e-38)
        assert case.oracle.member(unit)
        again = project(case.constraint, z) / max(np.abs(w).max(), 1e-38)
        close(case, again, unit)


@each_shape(MASKS)
def test_exact_count_under_ties(case, shape):
    expected = case.oracle.count(shape) if np.prod(shape) < 10 else None
    counts = []
    for w in (normal(shape), *tied(shape)):
        mask = np.array(case.constraint.masks([tf.constant(w)])[0])
        assert mask.dtype == bool and mask.shape == shape
        counts.append(mask.sum())
    if isinstance(case.oracle, Units):
        units = case.oracle.units(shape)
        assert len({len(u) for u in units}) > 1 or len(set(counts)) == 1
        kept = case.oracle.kept(shape)
        sizes = sorted(map(len, units))
        assert sum(sizes[:kept]) <= min(counts) <= max(counts)
        assert max(counts) <= sum(sizes[len(sizes) - kept :])
    else:
        assert len(set(counts)) == 1
    assert expected in (None, max(counts))


@each_shape(CASES)
def test_identity_on_members(case, shape):
    """Another member with the same settled part, of magnitudes well apart."""
    (settled,) = case.constraint.settle([tf.constant(normal(shape))])
    w = 3.0 + np.abs(normal(shape, seed=1))
    member = np.array(case.constraint.restrict(tf.constant(w), settled))
    close(case, project(case.constraint, member), member)


@each_shape(MASKS)
def test_identity_on_members_of_any_magnitudes(case, shape):
    """Entries that vanish beside others; members of a mask are told by their zeros."""
    (settled,) = case.constraint.settle([tf.constant(normal(shape))])
    for decades in (16, 37):
        w = 10.0 ** -np.random.default_rng(1).uniform(0, decades, shape)
        w = tf.constant(w * np.sign(normal(shape)), "float32")
        member = case.constraint.restrict(w, settled)
        assert case.constraint.holds([member], [settled])
        assert case.constraint.holds([w], [settled]) == case.oracle.member(w.numpy())
        if decades == 16:
            np.testing.assert_array_equal(project(case.constraint, member), member)


@each_shape(CASES, "small")
def test_no_member_is_nearer(case, shape):
    rounded, heavy = np.round(normal(shape, 1)), normal(shape, 2) ** 3
    for w in (normal(shape), rounded, heavy):
        got = oracles.distance(w, project(case.constraint, w))
        assert got == pytest.approx(case.oracle.nearest(w), rel=1e-5, abs=1e-6)


@each_class(CASES)
@pytest.mark.parametrize("dtype", few(DTYPES, "bfloat16", "float32"))
def test_dtype_is_kept_and_compiled_is_eager(case, dtype):
    compiled = tf.function(case.constraint.__call__)
    for w in (normal(case.shapes[0]), tied(case.shapes[0])[-1]):
        w = tf.cast(w, dtype)
        z = case.constraint(w)
        assert z.dtype == dtype
        if isinstance(case.constraint, MaskConstraint):
            np.testing.assert_array_equal(z.numpy(), case.oracle.project(w.numpy()))
        np.testing.assert_allclose(
            compiled(w).numpy().astype("float32"),
            z.numpy().astype("float32"),
            rtol=1e-6,
        )


@each_class(CASES)
def test_jit_is_eager(case):
    compiled = tf.function(case.constraint.__call__, jit_compile=True)
    for w in (normal(case.shapes[0]), tied(case.shapes[0])[-1]):
        close(case, compiled(tf.constant(w)).numpy(), project(case.constraint, w))


@pytest.mark.parametrize("dtype", sorted(set(DTYPES) - {"float32"}))
def test_jit_is_eager_in_other_dtypes(dtype):
    compiled = tf.function(Sparsity(0.3).__call__, jit_compile=True)
    for w in (normal(DENSE), *tied(DENSE)):
        w = tf.cast(w, dtype)
        np.testing.assert_array_equal(compiled(w).numpy(), Sparsity(0.3)(w).numpy())


@each(CASES)
def test_config_round_trip(case):
    config = keras.saving.serialize_keras_object(case.constraint)
    clone = keras.saving.deserialize_keras_object(config)
    assert type(clone) is type(case.constraint)
    assert clone.get_config() == case.constraint.get_config()
    assert repr(clone) == repr(case.constraint)
    w = normal(case.shapes[0])
    np.testing.assert_array_equal(project(clone, w), project(case.constraint, w))


@each_class({name: case for name, case in CASES.items() if DENSE in case.shapes})
def test_as_kernel_constraint(case):
    """A Keras layer projects its kernel after each step."""
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(5, kernel_constraint=case.constraint)]
    )
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(normal((8, 6)), normal((8, 5), seed=1), verbose=0)
    kernel, bias = model.layers[0].get_weights()
    assert case.oracle.member(kernel)
    assert np.count_nonzero(bias) == 5


@each(CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_restrict_is_a_projection_on_what_is_frozen(case, dtype):
    """Linear, idempotent, the identity on the projection itself, dtype kept."""
    shape = case.shapes[0]
    restrict, tolerance = case.constraint.restrict, {"rtol": 2e-2, "atol": 2e-2}
    if dtype in ("float32", "float64"):
        tolerance = {"rtol": 1e-5, "atol": 1e-5}
    (settled,) = case.constraint.settle([tf.constant(normal(shape))])
    settled = tf.cast(settled, "float32")
    a, b = (tf.cast(normal(shape, seed), dtype) for seed in (1, 2))
    got = restrict(a, settled)
    assert got.dtype == dtype
    got = got.numpy().astype("float64")
    np.testing.assert_allclose(restrict(tf.cast(got, dtype), settled), got, **tolerance)
    both = restrict(a + b, settled).numpy().astype("float64")
    np.testing.assert_allclose(both, got + restrict(b, settled), **tolerance)
    # What it takes away is orthogonal to what it leaves.
    rest = a.numpy().astype("float64") - got
    assert abs(np.sum(rest * got)) <= tolerance["atol"] * max(1, np.sum(got * got))


def test_what_is_masked_is_zero_even_if_it_is_not_finite():
    w = np.array([np.nan, np.inf, 1.0], dtype="float32")
    got = Sparsity(0.5).restrict(w, np.array([0.0, 0.0, 1.0], "float32"))
    assert np.array(got).tolist() == [0.0, 0.0, 1.0]


def test_the_exact_search_takes_a_sample_of_large_kernels():
    """Then alternating least squares; near the best of many scales."""
    w = normal((1500, 1000))
    for constraint in (Levels.ternary(), Levels.uniform(4)):
        got = oracles.distance(w, project(constraint, w))
        levels = np.array(constraint.levels)
        scales = np.linspace(0.05, 2.0, 79)
        sample = w.ravel()[:100_000, None]
        best = min(np.square(sample - scale * levels).min(1).mean() for scale in scales)
        assert got / w.size == pytest.approx(best, rel=0.02)


def test_clusters_of_large_kernels_are_near_the_best():
    """Lloyd-Max's distortion of a normal distribution: 0.1175 with 4 levels."""
    w = normal((400, 500))
    z = project(Clusters(4), w)
    assert len(np.unique(z)) == 4
    assert oracles.distance(w, z) / np.square(w).sum() == pytest.approx(
        0.1175, abs=1e-3
    )


@pytest.mark.parametrize("clusters", [4, 16])
@pytest.mark.parametrize("shape", [(784, 300), (1024, 500)])
def test_centroids_of_large_kernels_do_not_drift(clusters, shape):
    constraint, w = Clusters(clusters), tf.constant(normal(shape))
    (codes,) = constraint.settle([w])
    once = constraint.restrict(w, codes)
    again = once
    for _ in range(10):
        again = constraint.restrict(again, codes)
    np.testing.assert_allclose(again, once, rtol=1e-5)


def test_clusters_of_more_weights_than_a_product_of_two_ints_holds():
    w = normal((4_300_000, 1))
    z = project(Clusters(4), w)
    assert oracles.distance(w, z) / np.square(w).sum() == pytest.approx(
        0.1175, abs=2e-3
    )


@pytest.mark.parametrize("bits", few([3, 4, 8], 3, 4))
def test_levels_of_sparse_columns_are_no_worse_than_the_widest_scale(bits):
    """A column has few weights, which a sample of the column must not miss."""
    constraint = Intersection(Sparsity(0.9), Levels.uniform(bits, per_channel=True))
    w = normal((784, 60))
    z, kept = project(constraint, w), project(Sparsity(0.9), w)
    top = 2 ** (bits - 1) - 1
    scale = np.abs(kept).max(axis=0) / top
    widest = np.round(kept / scale) * scale
    ours, plain = (np.square(kept - v).sum(axis=0) for v in (z, widest))
    assert (ours <= plain * 1.001 + 1e-6).all()
    again = project(constraint, z)
    assert oracles.distance(z, again) <= 1e-4 * np.square(z).sum()


# Sets that couple kernels.


def test_a_global_budget_is_one_sort_over_all():
    ws = [normal(DENSE), 2 * normal(CONV2D, 1), normal((7,), 2)]
    masks = [np.array(m) for m in GlobalSparsity(0.3).masks(ws)]
    together = np.concatenate([w.ravel() for w in ws])
    expected = oracles.sparsity_naive(together, oracles.kept_naive(0.3, together.size))
    got = np.concatenate([np.where(m, w, 0).ravel() for m, w in zip(masks, ws)])
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.98, 1.0])
def test_a_global_budget_cuts_no_kernel_off(sparsity):
    """As many weights as outputs stay, or a tenth of all; the rest by one sort."""
    ws = [normal((6, 5)), 1e-3 * normal((9, 4), 1), 1e3 * normal((3, 3, 2, 3), 2)]
    masks = [np.array(m) for m in GlobalSparsity(sparsity).masks(ws)]
    budget = oracles.kept_naive(sparsity, sum(w.size for w in ws))
    order = []
    for i, w in enumerate(ws):
        flat = np.abs(w).ravel()
        share = min(w.shape[-1], max(1, int(w.shape[-1] * budget / 10 / (5 + 4 + 3))))
        first = set(np.argsort(-flat)[: share if budget >= 3 else 0])
        order += [(j not in first, -x, i, j) for j, x in enumerate(flat)]
    expected = [np.zeros(w.size, bool) for w in ws]
    for *_, i, j in sorted(order)[:budget]:
        expected[i][j] = True
    for mask, kept in zip(masks, expected):
        np.testing.assert_array_equal(mask.ravel(), kept)


@pytest.mark.parametrize(
    "first, second", [(DENSE, (5, 3)), (CONV2D, (3, 3, 4, 2)), (CONV2D, (24, 3))]
)
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 1.0])
def test_units_are_dead_on_both_sides(first, second, sparsity):
    """`layers.Flatten` says which inputs of the second kernel are of a unit."""
    units, (a, b) = first[-1], (normal(first), normal(second, 1))
    masks = [np.array(m) for m in UnitSparsity(sparsity).masks([a, b])]
    positions = second[-2] // units
    of_unit = np.array(
        keras.layers.Flatten()(np.tile(np.arange(units), (1, positions, 1)))
    )[0]
    norms = [
        np.square(a[..., u]).sum() + np.square(b[..., of_unit == u, :]).sum()
        for u in range(units)
    ]
    alive = np.argsort(norms)[::-1][: oracles.kept_naive(sparsity, units)]
    for u in range(units):
        assert (masks[0][..., u] == (u in alive)).all()
        assert (masks[1][..., of_unit == u, :] == (u in alive)).all()


# The counts of the paper's networks.


@pytest.mark.parametrize(
    "size, sparsity, kept",
    [
        (500, 0.8, 100),
        (25_000, 0.92, 2_000),
        (400_000, 0.991, 3_600),
        (5_000, 0.93, 350),
        (25_000, 0.97, 750),
        (400_000, 0.9965, 1_400),
        (5_000, 0.94, 300),
        (235_200, 0.96, 9_408),
        (30_000, 0.93, 2_100),
        (1_000, 0.88, 120),
    ],
)
def test_headline_counts(size, sparsity, kept):
    constraint = Sparsity(sparsity)
    assert constraint.kept(size) == kept
    for w in (normal(size), np.ones(size, "float32"), np.zeros(size, "float32")):
        assert np.array(constraint.mask(w)).sum() == kept
    w = normal(size)
    threshold = np.sort(np.abs(w))[-kept]
    np.testing.assert_array_equal(
        project(constraint, w), np.where(np.abs(w) >= threshold, w, 0)
    )


@pytest.mark.parametrize(
    "w, kept, expected",
    [
        ([3, 1, -1, 1, 2, -1], 3, [3, 1, 0, 0, 2, 0]),
        ([-1, 1, -1, 1], 1, [-1, 0, 0, 0]),
        ([0, 2, -2, 2, 2, 5], 3, [0, 2, -2, 0, 0, 5]),
        ([0.0, -0.0, 0.0, 1.0], 3, [0.0, -0.0, 0.0, 1.0]),
    ],
)
def test_of_equal_magnitudes_the_first_are_kept(w, kept, expected):
    w = np.array(w, dtype="float32")
    z = project(Sparsity(1 - kept / w.size), w)
    np.testing.assert_array_equal(z, np.array(expected, "float32"))


# Any array at all.

ANY_FLOAT = st.floats(width=32, allow_nan=False, allow_infinity=True)
TIES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 1e-45, -1e-45, np.inf])
arrays = st.one_of(
    hnp.arrays("float32", st.integers(1, 200), elements=ANY_FLOAT),
    hnp.arrays("float32", st.integers(1, 200), elements=TIES.map(np.float32)),
)
sparsities = st.floats(0.0, 1.0)


@settings(max_examples=120, deadline=None)
@given(arrays, sparsities)
def test_any_array_at_any_sparsity(w, sparsity):
    constraint = Sparsity(sparsity)
    kept = w.size - round(sparsity * w.size)
    assert np.array(constraint.mask(w)).sum() == kept
    z = project(constraint, w)
    expected = oracles.sparsity_naive(w, kept)
    # Bit for bit: -0.0 and denormals included.
    np.testing.assert_array_equal(z.view("int32"), expected.view("int32"))


@settings(max_examples=80, deadline=None)
@given(arrays, sparsities, st.sampled_from(DTYPES))
def test_any_array_of_any_dtype(w, sparsity, dtype):
    # Some denormals and huge values are 0.0 and infinity in another dtype.
    w = tf.cast(w, dtype)
    kept = w.shape[0] - round(sparsity * w.shape[0])
    expected = oracles.sparsity_naive(w.numpy(), kept)
    np.testing.assert_array_equal(Sparsity(sparsity)(w).numpy(), expected)


@tf.function(jit_compile=True)
def compiled_half(w):
    return Sparsity(0.5)(w)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays("float32", 50, elements=st.one_of(ANY_FLOAT, TIES)))
def test_any_array_compiled(w):
    expected = oracles.sparsity_naive(w, 25)
    np.testing.assert_array_equal(compiled_half(w).numpy(), expected)


# Kernels of more entries than are sorted.


def nasty(size):
    """Arrays whose sample, every so many-th entry, says little about the rest."""
    rng = np.random.default_rng(0)
    plain = rng.normal(size=size)
    spikes = np.where(np.arange(size) % 3 == 0, 0.0, plain)
    return {
        "plain": plain,
        "few values": np.round(plain),
        "all equal": np.ones(size),
        "zeros": np.zeros(size),
        "nearly all zero": np.where(np.arange(size) == size // 2, 1.0, 0.0),
        "sorted": np.sort(plain),
        "heavy tails": plain**9,
        "denormals": plain * 1e-42,
        "infinities": np.where(plain > 1, np.inf, plain),
        "zero where sampled": spikes,
        "large where sampled": np.where(spikes == 0.0, 1e9, spikes),
    }


@pytest.mark.parametrize("name", nasty(3))
@pytest.mark.parametrize("size, sample", [(255, 90), (1000, 1)])
def test_where_a_sample_is_sorted(monkeypatch, name, size, sample):
    monkeypatch.setattr(selection, "SORTED", sample)
    monkeypatch.setattr(counting, "SAMPLE", sample)
    x = nasty(size)[name].astype("float32")
    for kept in (1, size // 10, size - 1, size):
        mask = np.array(largest(x, kept))
        assert mask.sum() == kept
        expected = oracles.sparsity_naive(x, kept)
        np.testing.assert_array_equal(np.where(mask, x, 0), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_where_a_sample_is_sorted_compiled(monkeypatch, dtype, jit_compile):
    monkeypatch.setattr(selection, "SORTED", 90)
    monkeypatch.setattr(counting, "SAMPLE", 90)
    compiled = tf.function(lambda x: largest(x, 100), jit_compile=jit_compile)
    for name in ("plain", "few values", "zero where sampled"):
        x = tf.cast(nasty(1000)[name], dtype)
        mask = compiled(x).numpy()
        expected = oracles.sparsity_naive(x.numpy(), 100)
        np.testing.assert_array_equal(np.where(mask, x.numpy(), 0), expected)


# NaN.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_nan_is_the_largest(dtype, sign):
    nan = np.copysign(np.nan, sign)
    x = tf.cast([1.0, np.inf, nan, -np.inf], dtype)
    assert largest(x, 1).numpy().tolist() == [False, False, True, False]
    assert largest(x, 3).numpy().tolist() == [False, True, True, True]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("phase", ["begin", "dual_update", "finalize", "finalize late"])
def test_not_finite_is_an_error_that_names_the_layer(phase, bad):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, name="good"),
            keras.layers.Dense(2, name="broken"),
        ]
    )
    admm = tf_admm.ADMMModel(model, Sparsity(0.5), rho=0.1)
    if phase != "begin":
        admm.begin()
    if phase == "finalize late":
        admm._progress.steps.assign(1)
    kernel = model.get_layer("broken").kernel
    kernel.assign(np.full((4, 2), bad))
    before = [v.numpy() for v in admm.variables]
    with pytest.raises(ValueError, match="'broken/kernel' to be finite.*Received: NaN"):
        getattr(admm, phase.split()[0])()
    for variable, value in zip(admm.variables, before):
        np.testing.assert_array_equal(variable.numpy(), value)


# What `__init__` refuses, and the base class.


@pytest.mark.parametrize(
    "bad", [-0.1, 1.1, np.nan, np.inf, -np.inf, "0.5", "half", None, [0.5], 1j]
)
def test_sparsity_is_a_fraction(bad):
    with pytest.raises(ValueError) as error:
        Sparsity(bad)
    message = str(error.value)
    assert "`sparsity`. Expected a number in [0, 1]" in message
    assert f"Received: sparsity={bad!r}" in message


@pytest.mark.parametrize("good", [0, 1, np.float32(0.5), np.float64(0.9), np.int64(1)])
def test_sparsity_takes_any_number(good):
    assert Sparsity(good).sparsity == float(good)
    assert type(Sparsity(good).get_config()["sparsity"]) is float


def test_the_base_has_one_hole():
    with pytest.raises(NotImplementedError, match="MaskConstraint must implement"):
        MaskConstraint()(np.ones(3))
    with pytest.raises(NotImplementedError, match="ValueConstraint must implement"):
        ValueConstraint()(np.ones(3))
    with pytest.raises(NotImplementedError, match="SetConstraint must implement"):
        SetConstraint()(np.ones(3))


def test_a_subclass_fills_the_hole():
    class Diagonal(MaskConstraint):
        def mask(self, w):
            return np.eye(3, dtype=bool)

    w = normal((3, 3))
    np.testing.assert_array_equal(project(Diagonal(), w), np.diag(np.diag(w)))


@pytest.mark.parametrize("n, m", [(1, 128), (3, 129), (5, 200), (255, 256)])
def test_large_groups(n, m):
    """Ranks in a group beyond what a byte holds."""
    w = normal((2 * m, 3))
    groups = np.sort(np.abs(w).reshape(2, m, 3), axis=1)
    least = np.repeat(groups[:, m - n], m, axis=0)
    expected = np.where(np.abs(w) >= least, w, 0)
    np.testing.assert_array_equal(project(NMSparsity(n, m), w), expected)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: BlockSparsity(0.5, (4, 0)), "`block`.*Received: block=0"),
        (lambda: BlockSparsity(0.5, (1.5, 1)), "`block`.*Received: block=1.5"),
        (lambda: BlockSparsity(0.5, 4), "`block`. Expected a tuple.*: block=4"),
        (lambda: BlockSparsity(0.5, ()), "`block`. Expected a tuple"),
        (lambda: Levels(3), "`levels`. Expected a list of finite.*: levels=3"),
        (lambda: Levels("1"), "`levels`. Expected a list of finite"),
        (lambda: Levels([-math.inf, math.inf]), "`levels`. Expected a list of finite"),
        (lambda: NMSparsity(4, 2), "`n`. Expected at most `m`. Received: n=4, m=2"),
        (lambda: NMSparsity(0, 2), "`n`. Expected a positive integer"),
        (lambda: NMSparsity(1, 2, axis="in"), "`axis`.*Received: axis=in"),
        (
            lambda: PatternSparsity([[[0, 2]]]),
            "`patterns`. Expected a list of patterns",
        ),
        (lambda: PatternSparsity([[[0.5, 1]]]), "`patterns`. Expected a list of"),
        (lambda: PatternSparsity([]), "`patterns`. Expected a list of patterns"),
        (lambda: PatternSparsity([[[1, 0]], [[1]]]), "`patterns`. Expected a list"),
        (lambda: PatternSparsity(connectivity=2), "`connectivity`. Expected a number"),
        (lambda: Levels([]), "`levels`. Expected a list of finite"),
        (lambda: Levels([0]), "`levels`. Expected a list of finite"),
        (lambda: Levels([1, 2]), "`levels`. Expected a list of finite"),
        (lambda: Levels.uniform(1), "`bits`. Expected at least 2"),
        (lambda: Levels.powers_of_two(1), "`bits`. Expected at least 2"),
        (lambda: Levels.uniform(0), "`bits`. Expected a positive integer"),
        (lambda: Clusters(0), "`clusters`. Expected a positive integer"),
        (lambda: Clusters(257), "`clusters`. Expected at most 256"),
        (lambda: Intersection(Clusters(2), Clusters(2)), "`pattern`. Expected a"),
        (lambda: Intersection(Sparsity(0.5), Sparsity(0.5)), "`values`. Expected a"),
        (lambda: UnitSparsity(-1), "`sparsity`. Expected a number"),
        (lambda: GlobalSparsity("all"), "`sparsity`. Expected a number"),
    ],
)
def test_what_init_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "constraint, expected",
    [
        (Sparsity(1 / 3), "Sparsity(0.333333)"),
        (BlockSparsity(0.9, (4, 1)), "BlockSparsity(0.9, block=(4, 1))"),
        (
            Levels.uniform(8),
            "Levels([-127, -126, -125, -124, -123, -122, -121, ...], "
            "per_channel=False)",
        ),
        (
            PatternSparsity([np.eye(3).tolist()]),
            "PatternSparsity([[...]], connectivity=0)",
        ),
        (
            Intersection(Sparsity(0.95), Levels.ternary()),
            "Intersection(Sparsity(0.95), values=Levels([-1, 0, 1], "
            "per_channel=False))",
        ),
    ],
)
def test_how_it_is_printed(constraint, expected):
    assert repr(constraint) == expected


@pytest.mark.parametrize(
    "constraint, shape",
    [
        (BlockSparsity(0.5, (4, 1)), (3, 2)),
        (BlockSparsity(0.5, (4, 1)), (8,)),
        (NMSparsity(2, 4), (1, 8)),
        (NMSparsity(2, 4), (6, 8)),
        (NMSparsity(1, 2, axis=3), (2, 2)),
        (FilterSparsity(0.5), (4, 1)),
        (FilterSparsity(0.5), (4,)),
        (ChannelSparsity(0.5), (3, 3, 1, 4)),
        (ColumnSparsity(0.5), (1, 4)),
        (KernelSparsity(0.5), (3, 3, 1, 1)),
        (PatternSparsity(), (5, 5, 2, 2)),
        (PatternSparsity(), (3, 2)),
        (UnitSparsity(0.5), (3, 2)),
        (Intersection(NMSparsity(2, 4), Levels.ternary()), (6, 8)),
    ],
)
def test_a_shape_that_the_set_makes_no_sense_for(constraint, shape):
    with pytest.raises(ValueError, match="Expected .*kernel") as error:
        constraint(normal(shape))
    assert f"{shape}" in str(error.value)


# Sets of a user's own, which print by their configs.


class Strided(Sparsity):
    """Keeps its argument under a name that its config doesn't have."""

    def __init__(self, sparsity, every=2):
        super().__init__(sparsity)
        self._step = every

    def get_config(self):
        return {**super().get_config(), "every": self._step}


def test_a_set_prints_what_its_config_says():
    assert repr(Strided(0.5, 3)) == "Strided(0.5, every=3)"
    both = Intersection(Strided(0.5), Clusters(2))
    assert repr(both) == "Intersection(Strided(0.5, every=2), values=Clusters(2))"
