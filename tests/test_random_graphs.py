"""`shrink` on random graphs, beside models whose channels were left out by hand."""

import keras
import numpy as np
import pytest
import random_graphs

import tf_admm

GRAPHS = 30


def outputs(model, x):
    found = keras.tree.flatten(model(x))
    return [keras.ops.convert_to_numpy(y) for y in found]


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_shrunk_as_by_hand(seed):
    model, by_hand, _ = random_graphs.graph(seed)
    x = np.random.default_rng(seed).normal(size=(2, 9, 9, 3)).astype("float32")
    expected = outputs(model, x)
    small, report = tf_admm.shrink(model, samples=x)
    for other in (by_hand, small):
        for a, b in zip(expected, outputs(other, x), strict=True):
            limit = 1e-5 * max(1.0, np.abs(a).max())
            np.testing.assert_allclose(b, a, rtol=0, atol=limit)
    assert small.count_params() <= by_hand.count_params()
    assert not report.stopped
