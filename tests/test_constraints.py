"""The contract of a constraint set, and what holds for `Sparsity` alone.

A new set is one row of `CASES` (see there).
"""

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tf_admm
from tf_admm.constraints import MaskConstraint
from tf_admm.constraints import Sparsity
from tf_admm.constraints import largest

SHAPES = {
    "dense": (6, 5),
    "conv1d": (3, 2, 4),
    "conv2d": (3, 3, 2, 4),
    "conv3d": (2, 2, 2, 2, 3),
    "depthwise": (3, 3, 4, 1),
    "bias_like": (7,),
    "one": (1, 1),
}
DTYPES = ("float16", "bfloat16", "float32", "float64")

#: A set, the counts of nonzeros it allows, its naive projection.
CASES = {
    f"sparsity_{s}": (
        Sparsity(s),
        lambda size, s=s: oracles.kept_naive(s, size),
        oracles.sparsity_naive,
    )
    for s in (0.0, 0.3, 0.92, 1.0)
}
case = pytest.mark.parametrize("constraint, count, naive", CASES.values(), ids=CASES)
shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


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


@case
@shape
def test_projection_is_the_naive_one(constraint, count, naive, shape):
    kept = count(int(np.prod(shape)))
    for w in (normal(shape), *tied(shape)):
        np.testing.assert_array_equal(project(constraint, w), naive(w, kept))


@case
@shape
def test_projection_is_feasible(constraint, count, naive, shape):
    for w in (normal(shape), *tied(shape)):
        z = project(constraint, w)
        assert np.count_nonzero(z) <= count(w.size)
        np.testing.assert_array_equal(project(constraint, z), z)


@case
@shape
def test_exact_count_under_ties(constraint, count, naive, shape):
    for w in (normal(shape), *tied(shape)):
        mask = np.array(constraint.mask(w))
        assert mask.dtype == bool and mask.shape == shape
        assert mask.sum() == count(w.size)


@case
def test_projection_is_idempotent(constraint, count, naive):
    z = project(constraint, normal((4, 5)))
    np.testing.assert_array_equal(project(constraint, z), z)


@case
def test_identity_on_members(constraint, count, naive):
    w = np.zeros(20, dtype="float32")
    w[::-1][: count(20)] = 1.0 + np.arange(count(20))
    w = w.reshape(4, 5)
    np.testing.assert_array_equal(project(constraint, w), w)


@case
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(1,), (2, 3), (2, 2, 2), (3, 3)])
def test_no_member_is_nearer(constraint, count, naive, shape, seed):
    for w in (normal(shape, seed), np.round(normal(shape, seed))):
        distance = np.sum(np.square(w - project(constraint, w), dtype="float64"))
        nearest = oracles.brute_force_nearest(w, count(w.size))
        assert distance == pytest.approx(nearest, rel=1e-12, abs=1e-12)


@case
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_kept(constraint, count, naive, dtype):
    for w in (normal((6, 5)), *tied((6, 5))):
        w = tf.cast(w, dtype)
        z = constraint(w)
        assert z.dtype == dtype
        naive_z = naive(w.numpy(), count(30))
        np.testing.assert_array_equal(z.numpy(), naive_z)


@case
@pytest.mark.parametrize("dtype", DTYPES)
def test_eager_equals_graph(constraint, count, naive, dtype):
    check_compiled(constraint, dtype, jit_compile=False)


@case
def test_eager_equals_jit(constraint, count, naive):
    check_compiled(constraint, "float32", jit_compile=True)


@pytest.mark.parametrize("dtype", sorted(set(DTYPES) - {"float32"}))
def test_eager_equals_jit_of_other_dtypes(dtype):
    check_compiled(Sparsity(0.3), dtype, jit_compile=True)


def check_compiled(constraint, dtype, jit_compile):
    compiled = tf.function(constraint.__call__, jit_compile=jit_compile)
    for w in (normal((6, 5)), *tied((6, 5))):
        w = tf.cast(w, dtype)
        np.testing.assert_array_equal(compiled(w).numpy(), constraint(w).numpy())


@case
def test_config_round_trip(constraint, count, naive):
    config = keras.saving.serialize_keras_object(constraint)
    clone = keras.saving.deserialize_keras_object(config)
    assert type(clone) is type(constraint)
    assert clone.get_config() == constraint.get_config()
    w = normal((6, 5))
    np.testing.assert_array_equal(project(clone, w), project(constraint, w))


@case
def test_as_kernel_constraint(constraint, count, naive):
    """A Keras layer projects its kernel after each step."""
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(5, kernel_constraint=constraint)]
    )
    model.compile("sgd", "mse")
    model.fit(normal((8, 6)), normal((8, 5), seed=1), verbose=0)
    kernel, bias = model.layers[0].get_weights()
    assert np.count_nonzero(kernel) == count(30)
    assert np.count_nonzero(bias) == 5


@case
def test_restrict_keeps_what_is_frozen(constraint, count, naive):
    w = normal((6, 5))
    frozen = (normal((6, 5), seed=1) > 0).astype("float32")
    for dtype in DTYPES:
        got = constraint.restrict(tf.cast(w, dtype), frozen)
        assert got.dtype == dtype
        expected = np.where(frozen == 1, tf.cast(w, dtype).numpy(), 0)
        np.testing.assert_array_equal(got.numpy(), expected)


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


@settings(max_examples=100, deadline=None)
@given(hnp.arrays("float32", 50, elements=st.one_of(ANY_FLOAT, TIES)))
def test_any_array_compiled(w):
    expected = oracles.sparsity_naive(w, 25)
    np.testing.assert_array_equal(compiled_half(w).numpy(), expected)


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
        admm._steps.assign(1)
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
    assert f"Received: sparsity={bad}" in message


@pytest.mark.parametrize("good", [0, 1, np.float32(0.5), np.float64(0.9), np.int64(1)])
def test_sparsity_takes_any_number(good):
    assert Sparsity(good).sparsity == float(good)
    assert type(Sparsity(good).get_config()["sparsity"]) is float


def test_the_base_has_one_hole():
    with pytest.raises(NotImplementedError, match="MaskConstraint must implement"):
        MaskConstraint()(np.ones(3))


def test_a_subclass_fills_the_hole():
    class Diagonal(MaskConstraint):
        def mask(self, w):
            return np.eye(3, dtype=bool)

    w = normal((3, 3))
    np.testing.assert_array_equal(project(Diagonal(), w), np.diag(np.diag(w)))
