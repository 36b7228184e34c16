import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf

import tf_admm
from tf_admm.admm import updates
from tf_admm.constraints import MaskConstraint

SHAPES = [(1,), (4, 3), (3, 3, 2, 4)]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


class Support(MaskConstraint):
    """Zero outside of a given index set: a subspace, so ADMM must converge."""

    def __init__(self, support):
        self.support = support

    def mask(self, w):
        return tf.constant(self.support)

    def get_config(self):
        return {"support": self.support.tolist()}


# One formula at a time.


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rho", [0.0, 1e-3, 2.0])
def test_penalty(shape, rho):
    w, z, u = normal(3, *shape)
    expected = oracles.penalty(w, z, u, rho)
    assert float(updates.penalty(w, z, u, rho)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_dual_step(shape):
    w, u = normal(2, *shape)
    mask = normal(*shape, seed=1) > 0
    z = np.where(mask, w + u, 0.0)
    new_u = updates.dual_step(tf.constant(w + u), tf.constant(z)).numpy()
    np.testing.assert_array_equal(new_u[mask], 0.0)
    np.testing.assert_array_equal(new_u[~mask], (w + u)[~mask])
    np.testing.assert_allclose(new_u, u + w - z, atol=1e-6)


def test_the_dual_is_exactly_zero_on_the_support():
    """Also where w + u rounds: (w + u) - z, not u + (w - z)."""
    w, u = np.float32([1.0, 1.0]), np.float32([3e-8, 3e-8])
    z = np.float32([(w + u)[0], 0.0])
    new_u = updates.dual_step(tf.constant(w + u), tf.constant(z))
    assert new_u.numpy().tolist() == [0.0, float((w + u)[1])]


@pytest.mark.parametrize(
    "old, new, factor",
    [(1.0, 1.0, 1.0), (1.0, 2.0, 0.5), (3e-3, 1e-3, 3.0), (0.0, 1.0, 0.0)],
)
def test_rescaling(old, new, factor):
    assert updates.rescaling(old, new) == pytest.approx(factor)


@pytest.mark.parametrize("old", [0.0, 1.0])
def test_the_dual_is_cleared_where_rho_is_zero(old):
    assert updates.rescaling(old, 0.0) == 0.0


def residuals(w, z, previous, rho):
    parts = zip(*([tf.constant(x) for x in xs] for xs in (w, z, previous)))
    return updates.residuals(np.array(sum(updates.sums(*part) for part in parts)), rho)


def test_residuals():
    w, z, previous = (
        [normal(*shape, seed=seed + i) for i, shape in enumerate(SHAPES)]
        for seed in (0, 10, 20)
    )
    got = residuals(w, z, previous, 0.5)
    assert got == pytest.approx(oracles.residuals(w, z, previous, 0.5), rel=1e-5)


@pytest.mark.parametrize(
    "w, z, previous, expected",
    [
        (0.0, 0.0, 0.0, (0, 0, 0, 0)),
        (1.0, 0.0, 0.0, (1, 0, 1, 0)),
        (0.0, 0.0, 1.0, (0, 2, 0, np.inf)),
        (3.0, 3.0, 3.0, (0, 0, 0, 0)),
        (4.0, 2.0, 1.0, (2, 2, 0.5, 0.5)),
    ],
)
def test_residuals_at_zero(w, z, previous, expected):
    one = [[[value]] for value in (w, z, previous)]
    assert residuals(*one, rho=2.0) == expected


def test_what_changed_is_a_share_of_what_is_kept():
    z, previous = (tf.constant(x) for x in ([1.0, 0.0, 2.0, 3.0], [1.0, 1.0, 0.0, 2.0]))
    assert updates.changed(np.array(updates.sums(z, z, previous))) == pytest.approx(
        1 / 3
    )


# A convex problem with a closed form.


def least_squares():
    """A, b, a support, and argmin 1/2 ||A w - b||^2 within the support."""
    a, b = normal(40, 8), normal(40, 3, seed=1)
    support = np.random.default_rng(2).random((8, 3)) < 0.5
    return a, b, support, oracles.restricted_lstsq(a, b, support)


def test_what_a_set_grows_by_is_not_exchanged():
    z = np.array([0, 2, 3, 4, 5, 0], "float32")
    for gone, expected in ((0, 0.0), (1, 1 / 4)):
        previous = np.array([gone, 9, 0, 0, 0, 0], "float32")
        sums = np.array(updates.sums(z, z, previous))
        assert updates.changed(sums) == pytest.approx(expected)


@pytest.mark.parametrize("rho", [5.0, 20.0, 100.0])
def test_admm_converges_to_the_closed_form(rho):
    """The W-step is solved exactly, by NumPy; Z and U by the library."""
    a, b, support, solution = least_squares()
    a, b = a.astype("float64"), b.astype("float64")
    constraint = Support(support)
    z, u = np.zeros((2, *support.shape))
    for _ in range(400):
        left = a.T @ a + rho * np.eye(8)
        w = np.linalg.solve(left, a.T @ b + rho * (z - u))
        v = tf.constant(w + u)
        z = constraint(v).numpy()
        u = updates.dual_step(v, z).numpy()
    np.testing.assert_allclose(z, solution, atol=1e-8)
    np.testing.assert_allclose(w, solution, atol=1e-8)
    # The dual is what the constraint costs: Lambda = rho U = -grad f.
    gradient = a.T @ (a @ w - b)
    np.testing.assert_allclose(rho * u, -gradient, atol=1e-6)
    np.testing.assert_array_equal(u[support], 0.0)


def test_rescaling_keeps_the_fixed_point():
    """Another rho in mid-run moves nothing if U is rescaled."""
    a, b, support, solution = least_squares()
    a, b = a.astype("float64"), b.astype("float64")
    gradient = a.T @ (a @ solution - b)
    rho, new_rho = 5.0, 50.0
    u = -gradient / rho * updates.rescaling(rho, new_rho)
    left = a.T @ a + new_rho * np.eye(8)
    w = np.linalg.solve(left, a.T @ b + new_rho * (solution - u))
    np.testing.assert_allclose(w, solution, atol=1e-9)


@pytest.mark.parametrize(
    "rho, update_freq",
    [(1.0, "epoch"), (tf_admm.schedules.Geometric(0.1, 2.0), 20)],
    ids=["constant", "growing"],
)
@pytest.mark.slow
def test_the_whole_stack_reaches_the_closed_form(rho, update_freq):
    """Full-batch SGD, through `fit` and the callback."""
    a, b, support, solution = least_squares()
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(3, use_bias=False, name="fc")]
    )
    admm = tf_admm.ADMMModel(model, {"fc": Support(support)}, rho=rho)
    admm.compile(keras.optimizers.SGD(0.3), "mse", jit_compile=False)
    data = tf.data.Dataset.from_tensors((a, b)).repeat(20)
    admm.fit(
        data,
        epochs=40,
        callbacks=[tf_admm.ADMMCallback(admm_epochs=40, update_freq=update_freq)],
        shuffle=False,
        verbose=0,
    )
    kernel = model.get_layer("fc").kernel.numpy()
    # No step of retraining yet: this is what ADMM alone came to.
    np.testing.assert_allclose(kernel, solution, atol=1e-4)
    admm.fit(
        data,
        epochs=50,
        initial_epoch=40,
        callbacks=[tf_admm.ADMMCallback(admm_epochs=40, update_freq=update_freq)],
        shuffle=False,
        verbose=0,
    )
    kernel = model.get_layer("fc").kernel.numpy()
    np.testing.assert_allclose(kernel, solution, atol=1e-5)
    np.testing.assert_array_equal(kernel[~support], 0.0)


def test_kernels_of_different_precision_train_together():
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(4, dtype="float64"),
            keras.layers.Dense(3, dtype="float32"),
        ]
    )
    admm = tf_admm.ADMMModel(model, tf_admm.constraints.Sparsity(0.5), rho=0.1)
    admm.compile("sgd", "mse", jit_compile=False)
    callback = tf_admm.ADMMCallback(admm_epochs=2)
    a, b, _, _ = least_squares()
    admm.fit(a, b, epochs=3, callbacks=[callback], verbose=0)
    first, second = (layer.kernel.numpy() for layer in model.layers)
    assert (first.dtype, second.dtype) == ("float64", "float32")
    assert (np.count_nonzero(first), np.count_nonzero(second)) == (16, 6)
