"""Levels and clusters of large kernels: how near, in how much memory."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from sweeps import few

from tf_admm.constraints import Clusters
from tf_admm.constraints import Levels


def drawn(draw):
    """A function from a shape to the same numbers each time."""
    return lambda shape: draw(np.random.default_rng(0), shape)


DRAWN = {
    "normal": drawn(lambda rng, shape: rng.standard_normal(shape)),
    "uniform": drawn(lambda rng, shape: rng.uniform(-1, 1, shape)),
    "laplace": drawn(lambda rng, shape: rng.laplace(size=shape)),
    "heavy": drawn(lambda rng, shape: rng.standard_t(2, shape)),
}


def best_of_all(w, levels):
    """The least squared distance of a column: all places where q changes."""
    w, values = np.abs(w).astype("float64"), np.unique(np.abs(levels))
    middles = (values[1:] + values[:-1]) / 2
    at = (w[None] / middles[:, None]).ravel()
    dot = (w[None] * np.diff(values)[:, None]).ravel()
    square = np.broadcast_to(np.diff(values**2)[:, None], (middles.size, w.size))
    order = np.argsort(-at, kind="stable")
    products = values[0] * w.sum() + np.cumsum(dot[order])
    squares = values[0] ** 2 * w.size + np.cumsum(square.ravel()[order])
    return w @ w - (products**2 / squares).max()


def distance(w, z):
    return np.square(w.astype("float64") - np.array(z, "float64")).sum()


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize(
    "levels",
    [
        Levels.ternary,
        lambda p: Levels.uniform(4, p),
        lambda p: Levels.powers_of_two(4, p),
    ],
)
def test_the_exact_search_is_exact(name, levels):
    constraint = levels(True)
    w = DRAWN[name]((300, 12)).astype("float32")
    best = sum(best_of_all(column, constraint.levels) for column in w.T)
    assert distance(w, constraint(w)) <= best * (1 + 1e-6)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("bits", few([7, 8], 8))
def test_the_grid_is_near(name, bits):
    """Columns of more places than the exact search tries."""
    constraint = Levels.uniform(bits, per_channel=True)
    w = DRAWN[name]((600, 6)).astype("float32")
    best = sum(best_of_all(column, constraint.levels) for column in w.T)
    assert distance(w, constraint(w)) <= best * (1 + 2e-3)


@pytest.mark.parametrize("name", few(DRAWN, "normal"))
@pytest.mark.parametrize("bits, near", [(2, 1e-5), (4, 2e-3), (8, 3e-2)])
def test_a_lone_scale_by_a_sample_is_near(name, bits, near):
    constraint = Levels.uniform(bits)
    w = DRAWN[name]((300, 200)).astype("float32")
    best = best_of_all(w.ravel(), constraint.levels)
    # A sample may miss the few that tell in a tail without a variance.
    near = max(near, 1e-2) if name == "heavy" else near
    assert distance(w, constraint(w)) <= best * (1 + near)


@pytest.mark.parametrize("constraint", [Levels.ternary(), Clusters(16)])
def test_large_kernels_are_worked_on_compiled_too(constraint):
    w = tf.constant(DRAWN["normal"]((700, 60)).astype("float32"))
    compiled = tf.function(lambda x: constraint(x))(w)
    assert distance(w.numpy(), compiled) == pytest.approx(
        distance(w.numpy(), constraint(w)), rel=1e-3
    )


MEMORY = """
import json, resource, sys
import numpy as np, tensorflow as tf
from tf_admm import constraints
constraint = eval(sys.argv[1], vars(constraints))
w = tf.constant(np.random.default_rng(0).standard_normal((1600, 1600), dtype="float32"))
constraint(w[:600, :64])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
constraint(w)
print(json.dumps((peak() - before) / w.numpy().nbytes))
"""


@pytest.mark.parametrize(
    "constraint",
    few(["Levels.uniform(4)", "Levels.ternary(True)", "Clusters(16)"]),
)
def test_memory(constraint):
    output = subprocess.run(
        [sys.executable, "-c", MEMORY, constraint],
        check=True,
        capture_output=True,
        text=True,
    )
    # What the allocator keeps of what was freed comes on top of three.
    assert json.loads(output.stdout.splitlines()[-1]) < 4
