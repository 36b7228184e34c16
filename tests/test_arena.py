"""The memory that a file's tensors take, beside what it must be at least."""

import itertools

import keras
import numpy as np
import pytest
import test_export

from tf_admm.export import to_tflite
from tf_admm.export.tflite import arena

L = keras.layers


def peak(tensors):
    """Bytes alive at the worst step: what no plan can do with less than."""
    last = max(tensor.last for tensor in tensors)
    return max(
        sum(t.bytes for t in tensors if t.first <= step <= t.last)
        for step in range(last + 1)
    )


def best(tensors):
    """The smallest arena of all: each tensor put down as low as it goes, any order."""
    return min(_first_fit(order) for order in itertools.permutations(tensors))


def _first_fit(tensors):
    placed = []
    for tensor in tensors:
        met = [(o, t.bytes) for o, t in placed if t.meets(tensor)]
        starts = sorted({0, *(offset + size for offset, size in met)})
        offset = next(
            s
            for s in starts
            if all(s >= o + n or s + tensor.bytes <= o for o, n in met)
        )
        placed.append((offset, tensor))
    return max(offset + tensor.bytes for offset, tensor in placed)


def chain(sizes):
    """Tensors of which each is made of the one before."""
    return [arena.Lifetime(16 * n, i, i + 1) for i, n in enumerate(sizes)]


@pytest.mark.parametrize(
    "sizes",
    [[4], [4, 9], [9, 4], [1, 2, 3, 4], [4, 3, 2, 1], [2, 8, 2, 8, 2], [5, 5, 5]],
)
def test_chains_take_their_peak(sizes):
    expected = 16 * max(a + b for a, b in zip([0, *sizes], [*sizes, 0]))
    assert arena.planned(chain(sizes)) == peak(chain(sizes)) == expected


def test_plans_of_random_graphs():
    rng = np.random.default_rng(0)
    greedy, least = 0, 0
    for _ in range(60):
        tensors = [
            arena.Lifetime(16 * int(size), int(first), int(first + length))
            for size, first, length in rng.integers(1, [20, 6, 4], (6, 3))
        ]
        found, lower = arena.planned(tensors), best(tensors)
        assert peak(tensors) <= lower <= found <= sum(t.bytes for t in tensors)
        greedy, least = greedy + found, least + lower
    assert greedy < 1.1 * least


def test_no_two_tensors_overlap():
    """Placed by the planner, tensor by tensor, no more than it says fits."""
    rng = np.random.default_rng(1)
    tensors = [
        arena.Lifetime(16 * int(n), int(a), int(a + k))
        for n, a, k in rng.integers(1, [9, 30, 9], (40, 3))
    ]
    order = sorted(tensors, key=lambda tensor: -tensor.bytes)
    assert arena.planned(tensors) == _first_fit(order)


def aligned(*sizes):
    return sum(-(-size // 16) * 16 for size in sizes)


@pytest.mark.parametrize(
    "build, expected",
    [
        # 32 floats, 64 and 10: the first two, or the last two, are alive at once.
        (test_export.mlp, aligned(32 * 4, 64 * 4)),
        # The first convolution's output beside what it is pooled to.
        (test_export.lenet, aligned(24 * 24 * 20 * 4, 12 * 12 * 20 * 4)),
        # The input of a residual is alive until it is added.
        (test_export.residual, 3 * aligned(8 * 8 * 8 * 4)),
    ],
)
def test_arena_of_files(build, expected, tmp_path):
    report = to_tflite(build(), tmp_path / "model.tflite", sparse=False)
    data = (tmp_path / "model.tflite").read_bytes()
    assert report.arena_bytes == arena.arena_bytes(data)
    assert report.arena_bytes >= peak(arena.lifetimes(data))
    assert f"{report.arena_bytes:,}" in str(report)
    if build is not test_export.residual:
        assert report.arena_bytes == expected
    else:
        # The converter may add in place of the sum.
        assert expected * 2 / 3 <= report.arena_bytes <= expected


@pytest.mark.slow
def test_loops_count_what_runs_in_them(tmp_path):
    report = to_tflite(test_export.lstm(), tmp_path / "a.tflite", sparse=False)
    tensors = arena.lifetimes((tmp_path / "a.tflite").read_bytes())
    # Input of 5 steps of 16, and 4 gates of 32 units.
    assert report.arena_bytes >= peak(tensors) >= 4 * (5 * 16 + 4 * 32)


def test_int8_takes_a_quarter(tmp_path):
    model = test_export.lenet()
    x = np.random.default_rng(0).normal(size=(8, 28, 28, 1)).astype("float32")
    report = to_tflite(
        model,
        tmp_path / "a.tflite",
        sparse=False,
        dtype="int8",
        representative=x,
        io_dtype="int8",
    )
    assert report.arena_bytes == aligned(24 * 24 * 20, 12 * 12 * 20)
