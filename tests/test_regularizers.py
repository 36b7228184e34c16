import numpy as np
import oracles
import pytest
import tensorflow as tf

from tf_admm import ADMMRegularizer

SHAPE = (4, 3)


def tensors(seed=0):
    return np.random.default_rng(seed).normal(size=(3, *SHAPE)).astype("float32")


def variables(z, u, rho, dtype="float32"):
    return [tf.Variable(value, dtype=dtype) for value in (z, u, rho)]


@pytest.mark.parametrize("rho", [0.0, 1e-3, 1.0, 7.0])
def test_value_and_gradient(rho):
    w, z, u = tensors()
    variable = tf.Variable(w)
    with tf.GradientTape() as tape:
        value = ADMMRegularizer(*variables(z, u, rho))(variable)
    gradient = tape.gradient(value, variable)
    assert value.shape == ()
    assert float(value) == pytest.approx(oracles.penalty(w, z, u, rho), rel=1e-5)
    expected = oracles.penalty_gradient(w, z, u, rho)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    closed = ADMMRegularizer(*variables(z, u, rho)).gradient(variable)
    np.testing.assert_allclose(closed, expected, rtol=1e-5, atol=1e-7)


def test_squared_and_halved():
    """Twice as far is four times as dear; 2/2 * 3^2 is 9."""
    zero = np.zeros(1, dtype="float32")
    regularizer = ADMMRegularizer(*variables(zero, zero, 2.0))
    assert float(regularizer(tf.constant([3.0]))) == 9.0
    assert float(regularizer(tf.constant([6.0]))) == 36.0


def test_sign_of_the_dual():
    """The pull is towards z - u."""
    z, u = np.float32([5.0]), np.float32([2.0])
    regularizer = ADMMRegularizer(*variables(z, u, 1.0))
    assert float(regularizer(tf.constant([3.0]))) == 0.0


@pytest.mark.parametrize("jit_compile", [False, True])
def test_live_without_a_new_trace(jit_compile):
    w, z, u = tensors()
    z, u, rho = variables(z, u, 1.0)
    regularizer = ADMMRegularizer(z, u, rho)
    traces = []

    @tf.function(jit_compile=jit_compile)
    def value(w):
        traces.append(1)
        return regularizer(w)

    value(w)
    for seed, new_rho in ((1, 0.0), (2, 0.5), (3, 10.0)):
        new_w, new_z, new_u = tensors(seed)
        z.assign(new_z), u.assign(new_u), rho.assign(new_rho)
        expected = oracles.penalty(new_w, new_z, new_u, new_rho)
        assert float(value(new_w)) == pytest.approx(expected, rel=1e-5)
    assert len(traces) == 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_in_the_precision_of_the_state(dtype):
    w, z, u = tensors()
    state = "float64" if dtype == "float64" else "float32"
    value = ADMMRegularizer(*variables(z, u, 0.5, state))(tf.cast(w, dtype))
    assert value.dtype == state
    rounded = tf.cast(w, dtype).numpy().astype("float64")
    assert float(value) == pytest.approx(oracles.penalty(rounded, z, u, 0.5), rel=1e-5)


def test_has_no_config():
    _, z, u = tensors()
    with pytest.raises(ValueError, match="live variables.*Save the `ADMMModel`"):
        ADMMRegularizer(*variables(z, u, 1.0)).get_config()
