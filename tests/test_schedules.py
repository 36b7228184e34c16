import math

import keras
import numpy as np
import oracles
import pytest

import tf_admm
from tf_admm import schedules
from tf_admm.schedules import Constant
from tf_admm.schedules import Cosine
from tf_admm.schedules import Geometric
from tf_admm.schedules import Schedule

#: A schedule, then rho at t = 0, 1/2 and 1.
CASES = [
    (Constant(0.003), (0.003, 0.003, 0.003)),
    (Constant(0), (0.0, 0.0, 0.0)),
    (Geometric(1e-4, 1e-2), (1e-4, 1e-3, 1e-2)),
    (Geometric(1e-2, 1e-4), (1e-2, 1e-3, 1e-4)),
    (Geometric(0.5, 0.5), (0.5, 0.5, 0.5)),
    (Cosine(1e-4, 3e-3), (1e-4, 1.55e-3, 3e-3)),
    (Cosine(3e-3, 0), (3e-3, 1.5e-3, 0.0)),
    (Cosine(0, 0), (0.0, 0.0, 0.0)),
]
case = pytest.mark.parametrize("schedule, values", CASES)
NOT_NUMBERS = [math.nan, math.inf, -math.inf, -1e-9, "0.1", "big", None, [0.1], 1j]


@case
def test_values(schedule, values):
    got = [schedule(t) for t in (0.0, 0.5, 1.0)]
    assert got == pytest.approx(values, rel=1e-12, abs=1e-15)


@case
def test_monotone(schedule, values):
    rho = np.array([schedule(t) for t in np.linspace(0.0, 1.0, 101)])
    steps = np.diff(rho) * (1 if values[2] >= values[0] else -1)
    assert (steps >= 0.0).all()
    assert min(values) - 1e-15 <= rho.min() and rho.max() <= max(values) + 1e-15


@pytest.mark.parametrize("t", np.linspace(0.0, 1.0, 7))
def test_formulas(t):
    geometric, cosine = Geometric(1e-4, 3e-2)(t), Cosine(1e-4, 3e-3)(t)
    assert geometric == pytest.approx(oracles.geometric(1e-4, 3e-2, t), rel=1e-12)
    assert cosine == pytest.approx(oracles.cosine(1e-4, 3e-3, t), rel=1e-12)


def test_geometric_grows_by_one_factor():
    schedule = Geometric(1e-4, 3e-2)
    rho = np.array([schedule(t) for t in np.linspace(0.0, 1.0, 11)])
    factors = rho[1:] / rho[:-1]
    np.testing.assert_allclose(factors, 300 ** (1 / 10), rtol=1e-12)


@case
def test_serialisation(schedule, values):
    config = keras.saving.serialize_keras_object(schedule)
    for clone in (schedules.get(config), type(schedule).from_config(config["config"])):
        assert type(clone) is type(schedule)
        assert clone.get_config() == schedule.get_config()
        assert clone(0.3) == schedule(0.3)


@case
def test_get_of_a_schedule_is_itself(schedule, values):
    assert schedules.get(schedule) is schedule


@pytest.mark.parametrize("number", [0, 1, 0.1, 1e-30, np.float32(0.5), np.int64(2)])
def test_get_of_a_number_is_constant(number):
    schedule = schedules.get(number)
    assert type(schedule) is Constant
    assert schedule(0.0) == schedule(1.0) == float(number)
    assert type(schedule.get_config()["rho"]) is float


@pytest.mark.parametrize("bad", NOT_NUMBERS)
@pytest.mark.parametrize(
    "make, name",
    [
        (Constant, "rho"),
        (schedules.get, "rho"),
        (lambda bad: Geometric(bad, 1.0), "start"),
        (lambda bad: Geometric(1.0, bad), "end"),
        (lambda bad: Cosine(bad, 1.0), "start"),
        (lambda bad: Cosine(1.0, bad), "end"),
    ],
)
def test_bad_values(make, name, bad):
    with pytest.raises(ValueError) as error:
        make(bad)
    message = str(error.value)
    assert f"`{name}`. Expected a finite," in message
    assert f"Received: {name}={bad!r}" in message


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.0)])
def test_geometric_cannot_reach_zero(ends):
    with pytest.raises(ValueError, match="Expected a finite, positive"):
        Geometric(*ends)


def test_the_base_has_one_hole():
    with pytest.raises(NotImplementedError, match="Schedule must implement"):
        Schedule()(0.0)


def test_the_model_reads_a_schedule_of_ones_own():
    class Linear(Schedule):
        def __call__(self, t):
            return 0.1 + t

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    admm = tf_admm.ADMMModel(model, tf_admm.constraints.Sparsity(0.5), rho=Linear())
    admm.begin()
    assert admm.rho == pytest.approx(0.1)
    admm.dual_update(t=0.25)
    assert admm.rho == pytest.approx(0.35)
