"""`largest` beside a stable sort, eagerly and compiled, on any backend.

KERAS_BACKEND=jax pytest tests/test_selection.py
"""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from tf_admm.constraints import counting
from tf_admm.constraints import selection

BACKEND = keras.config.backend()
#: In most tests, what is sorted, and the sample.
SORTED, SAMPLE = 60, 40
DTYPES = ("float16", "bfloat16", "float32", "float64")[: 3 if BACKEND == "jax" else 4]


def distributions(size):
    """Arrays, some of them such that a sample says little about the rest."""
    rng = np.random.default_rng(0)
    plain = rng.normal(size=size)
    odd = np.where(np.arange(size) % 3 == 0, 0.0, plain)
    return {
        "normal": plain,
        "uniform": rng.uniform(-1, 1, size),
        "heavy tails": plain**9,
        "few values": np.round(plain),
        "all equal": np.ones(size),
        "zeros": np.zeros(size),
        "signed zeros": np.where(plain > 0, 0.0, -0.0),
        "mostly zero": np.where(plain > 1, plain, 0.0),
        "nearly all zero": np.where(np.arange(size) == size // 2, 1.0, 0.0),
        "an outlier": np.where(np.arange(size) == size // 2, 1e4, plain),
        "sorted": np.sort(plain),
        "denormals": plain * 1e-42,
        "some infinite": np.where(plain > 1, -np.inf, plain),
        "some NaN": np.where(plain > 1, np.copysign(np.nan, plain - 2), plain),
        "all bad": np.where(plain > 0, np.nan, np.inf),
        "zero where sampled": odd,
        "large where sampled": np.where(odd == 0.0, 1e4, odd),
    }


NAMES = tuple(distributions(1))


def expected(x, k):
    """The first k of a stable sort, NaN before infinity."""
    magnitude = np.abs(np.asarray(x, "float64"))
    order = np.lexsort((np.where(np.isnan(magnitude), 0, -magnitude), magnitude >= 0))
    mask = np.zeros(len(order), bool)
    mask[order[:k]] = True
    return mask


def counts(size):
    drawn = int(np.random.default_rng(size).integers(size + 1))
    return sorted({0, 1, min(2, size), size // 3, drawn, size - 1, size})


def jitted(function, **how):
    if BACKEND == "jax":
        import jax

        # Another function each time: what is traced is kept by function.
        return jax.jit(functools.partial(function))
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, **how)
    return function


def check(function, x, k):
    mask = ops.convert_to_numpy(function(x, k))
    np.testing.assert_array_equal(mask, expected(ops.convert_to_numpy(x), int(k)))


def tensor(x, dtype="float32"):
    """Of double precision first: what is 0.0 or infinite as a half is so here."""
    with np.errstate(over="ignore"):
        wide = np.asarray(x, "float64" if dtype == "float64" else "float32")
    return ops.cast(ops.convert_to_tensor(wide), dtype)


@pytest.fixture
def small(monkeypatch):
    """So that sorted and counted tensors are small."""
    monkeypatch.setattr(selection, "SORTED", SORTED)
    monkeypatch.setattr(counting, "SAMPLE", SAMPLE)


@pytest.fixture(params=[False, True], ids=["one pivot", "many pivots"])
def fused(request, small, monkeypatch):
    """How it is counted, on this device and on others."""
    monkeypatch.setattr(counting, "fused", lambda: request.param)


COMPILED = {"": {}, "jit_compile": {"jit_compile": True}}
WAYS = COMPILED if BACKEND == "tensorflow" else {"": {}}


def check_all(size, dtype, **how):
    """One function for all arrays of a size, and all k."""
    compiled = jitted(selection.largest, **how)
    for x in distributions(size).values():
        for k in counts(size):
            check(compiled, tensor(x, dtype), ops.convert_to_tensor(k, dtype="int32"))
    if BACKEND == "tensorflow":
        assert compiled.experimental_get_tracing_count() == 1
    if BACKEND == "jax":
        assert compiled._cache_size() == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 60])
def test_sorted(small, size, dtype, way):
    check_all(size, dtype, **WAYS[way])


@pytest.mark.parametrize("size", [61, 1000])
def test_counted(fused, size):
    check_all(size, "float32")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_counted_of_a_dtype(small, dtype, way):
    check_all(255, dtype, **WAYS[way])


@pytest.mark.parametrize("size", [60, 255])
def test_eagerly(small, size):
    x = tensor(distributions(size)["few values"])
    check(selection.largest, x, size // 3)
    check(selection.largest, x, ops.convert_to_tensor(size // 3, dtype="int32"))


@pytest.mark.parametrize("k", [0, 100, 255])
def test_k_may_be_a_constant_of_a_function(small, k):
    x = tensor(distributions(255)["few values"])
    check(jitted(lambda x, _: selection.largest(x, k)), x, k)


@pytest.mark.parametrize("size", [2**17, 2**17 + 1])
def test_at_the_border(size):
    compiled = jitted(selection.largest)
    for name in ("normal", "few values", "mostly zero"):
        x = tensor(distributions(size)[name])
        for k in (size // 10, size - 1):
            check(compiled, x, ops.convert_to_tensor(k, dtype="int32"))


@pytest.mark.parametrize(
    "name, most",
    [("normal", 6), ("an outlier", 6), ("heavy tails", 6), ("zero where sampled", 16)],
)
def test_passes(monkeypatch, name, most):
    """Few on what weights are like, and a bounded number on anything."""
    passes = []
    closer = counting._closer
    monkeypatch.setattr(counting, "fused", lambda: True)
    monkeypatch.setattr(counting, "SAMPLE", 2**10)
    monkeypatch.setattr(counting, "_closer", lambda *a: passes.append(1) or closer(*a))
    x = tensor(distributions(2**15)[name])
    top = selection._nan("float32") + 1
    read = functools.partial(selection._magnitudes, x)
    for k in (3000, 20000):
        passes.clear()
        eagerly(counting.kth, read, ops.convert_to_tensor(k, dtype="int32"), top)
        assert len(passes) <= most


def eagerly(function, *arguments):
    """Loops in Python, too."""
    if BACKEND != "jax":
        return function(*arguments)
    import jax

    with jax.disable_jit():
        return function(*arguments)


@pytest.mark.parametrize("size", [1, 2, 100, 1000])
def test_end(size):
    mask = np.random.default_rng(size).random(size) < 0.3
    for room in {0, mask.sum() // 2, mask.sum()}:
        end = counting.end(ops.convert_to_tensor(mask), int(room))
        assert mask[: int(end)].sum() == room
