"""Rounds, pace, a rho that is found, health, and what is asked for by one number."""

import re
import warnings

import keras
import numpy as np
import pytest

import tf_admm
from tf_admm import schedules
from tf_admm.admm import optimizer as steps
from tf_admm.admm import rounds as parts
from tf_admm.constraints import GroupSparsity
from tf_admm.constraints import Sparsity

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 12)).astype("float32")
Y = np.tanh(X @ RNG.normal(size=(12, 24))) @ RNG.normal(size=(24, 3))


def built(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(32, "relu", name="a"),
            keras.layers.Dense(16, "relu", name="b"),
            keras.layers.Dense(3, name="c"),
        ]
    )


def pruned(constraints=None, optimizer=None, **kwargs):
    if constraints is None and "sparsity" not in kwargs:
        constraints = Sparsity(0.75)
    admm = tf_admm.ADMMModel(built(), constraints, **kwargs)
    optimizer = optimizer or keras.optimizers.Adam(0.01)
    admm.compile(optimizer, "mse", jit_compile=False)
    return admm


def fit(admm, epochs, *callbacks, batch_size=20, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        options = {"batch_size": batch_size, "shuffle": False, "verbose": 0}
        return admm.fit(X, Y, epochs=epochs, callbacks=callbacks, **options, **kwargs)


def zeros(admm):
    return [int(np.sum(np.array(w) == 0)) for w, _ in admm.masks]


# The optimizer.

OPT = keras.optimizers


@pytest.mark.parametrize(
    "optimizer, most",
    [
        (OPT.SGD(0.1), 10.0),
        (OPT.SGD(0.1, momentum=0.9), 1.0),
        (OPT.LossScaleOptimizer(OPT.SGD(0.05, momentum=0.9)), 2.0),
        (OPT.SGD(OPT.schedules.ExponentialDecay(0.2, 9, 0.5), momentum=0.5), 2.5),
        (OPT.RMSprop(0.01, momentum=0.5), 50.0),
        (OPT.Adam(0.01, beta_1=0.99), 100.0),
        (OPT.SGD(0.0, momentum=0.9), np.inf),
    ],
)
def test_what_a_step_levels(optimizer, most):
    assert steps.steepest(optimizer) == pytest.approx(most)


@pytest.mark.parametrize("rho, limited", [("auto", True), (40.0, False)])
def test_a_rho_that_is_found_is_one_that_the_next_optimizer_bears(rho, limited):
    """Going on with another optimizer, within ADMM."""
    admm = pruned(sparsity=0.8, rho=rho)
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(admm, "stop_training", epoch == 3)
    )
    fit(admm, 12, tf_admm.ADMMCallback(8), stop)
    admm.compile(OPT.SGD(0.005, momentum=0.95), "mse", jit_compile=False)
    before = admm.rho
    assert admm.phase == "admm" and before > 10.0
    pulls = [before * np.array(slot.u) for slot in admm._slots]
    admm.limit_rho()
    assert admm.rho == pytest.approx(10.0 if limited else before)
    for slot, pull in zip(admm._slots, pulls):
        np.testing.assert_allclose(admm.rho * np.array(slot.u), pull, rtol=1e-5)
    if limited:
        fit(admm, 12, tf_admm.ADMMCallback(8), initial_epoch=4)
        assert admm.phase == "retraining"


# Rounds.


@pytest.mark.parametrize("epochs, again", [(1, 0), (7, 0), (7, 2), (5, 4), (80, 3)])
def test_rounds_divide_the_epochs(epochs, again):
    rounds = parts.Rounds(epochs, again)
    lengths = np.diff([0, *rounds.ends])
    assert rounds.ends[-1] == epochs and len(lengths) == again + 1
    assert lengths.min() >= 1 and lengths.max() - lengths.min() <= 1
    assert rounds.shortest == lengths.min()
    for number, end in enumerate(rounds.ends):
        assert rounds.t(number, end) == 1.0 and rounds.is_over(number, end)
        assert rounds.t(number, end - lengths[number]) == 0.0
        assert not rounds.is_over(number, end - 1)


class Watch(keras.callbacks.Callback):
    """What is nonzero, and what the run says, as each batch ends."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        nonzero = [np.array(w) != 0 for w, _ in self.model.masks]
        self.seen.append((self.model.phase, self.model.rounds, nonzero))


@pytest.mark.parametrize(
    "constraints", [Sparsity(0.75), tf_admm.constraints.GlobalSparsity(0.75)]
)
def test_a_round_trains_within_what_was_given_back(constraints):
    admm = pruned(constraints, kept=schedules.Cubic(4.0), regrowth=1.0)
    watch = Watch()
    fit(admm, 8, tf_admm.ADMMCallback(6, 3, rounds=2), watch)
    total = sum(w.size for w in watch.seen[0][2])
    kept = total - round(0.75 * total)
    for number in (1, 2):
        steps = [seen for p, r, seen in watch.seen if (p, r) == ("admm", number)]
        allowed = [np.any(ws, axis=0) for ws in zip(*steps)]
        # Not more than twice the budget, and more than the budget.
        assert kept < sum(w.sum() for w in allowed) <= 2 * kept + 3
    assert admm.rounds == 2 and sum(zeros(admm)) == total - kept
    assert admm.phase == "retraining"


def test_what_comes_back_is_zero_and_has_the_largest_gradients():
    admm = pruned({"a": Sparsity(0.75)}, regrowth=2.0)
    fit(admm, 1, tf_admm.ADMMCallback(1, 3))
    admm = pruned({"a": Sparsity(0.75)}, regrowth=2.0)
    admm.begin()
    (slot,) = admm._slots
    slot.f.assign(RNG.uniform(size=slot.f.shape))
    slot.w.assign(RNG.normal(size=slot.w.shape))
    admm.dual_update(1.0)
    kept = np.array(slot.settled) != 0
    before, f = np.array(slot.w), np.array(slot.f)
    admm.regrow()
    live = np.array(slot.live) != 0
    back = live & ~kept
    assert np.all(live[kept]) and back.sum() == 2 * kept.sum()
    assert f[back].min() >= f[~live].max()
    np.testing.assert_array_equal(np.array(slot.w), np.where(kept, before, 0))
    np.testing.assert_array_equal(np.array(slot.z), np.array(slot.w))
    assert not np.any(np.array(slot.u)) and admm.phase == "admm"


def test_channels_come_back_whole():
    admm = pruned({"a|b": GroupSparsity(0.5)}, regrowth=0.5)
    watch = Watch()
    fit(admm, 6, tf_admm.ADMMCallback(4, 3, rounds=1), watch)
    steps = [seen for p, r, seen in watch.seen if (p, r) == ("admm", 1)]
    for kernel in list(zip(*steps))[:1]:
        alive = np.any(kernel, axis=(0, 1))
        assert alive.sum() == 24  # of 32: 16 kept, and half as many again
    assert np.any(np.array(admm.masks[0][0]) != 0, axis=0).sum() == 16


def test_nothing_is_due_as_a_round_ends(monkeypatch):
    """40 steps a round: looked at every third, and due after 4.

    A run that goes on from a backup of before that end would make it then.
    """
    admm = pruned(sparsity=0.5, regrowth=1.0, optimizer=keras.optimizers.Adam(1e-3))
    waited = []
    for name in ("regrow", "finalize"):
        end = getattr(admm, name)
        monkeypatch.setattr(
            admm,
            name,
            lambda end=end: (waited.append(admm.steps_since_update), end()),
        )
    fit(admm, 9, tf_admm.ADMMCallback(8, rounds=3), batch_size=6)
    assert len(waited) == 4 and max(waited) < 4


def test_sets_of_values_are_not_held_back():
    admm = pruned({"a": tf_admm.constraints.Levels.ternary()}, regrowth=1.0)
    fit(admm, 4, tf_admm.ADMMCallback(3, 2, rounds=1))
    values = np.unique(np.abs(np.array(admm.masks[0][0])).round(5))
    assert admm.rounds == 1 and len(values) <= 2


# When Z and U are updated.


class Updates(keras.callbacks.Callback):
    """The steps between updates."""

    def __init__(self):
        super().__init__()
        self.between, self._before = [], 0

    def on_train_batch_end(self, batch, logs=None):
        now = self.model.steps_since_update
        if now == 0:
            self.between.append(self._before + 1)
        self._before = now


def test_updates_wait_for_the_weights():
    """The faster W follows, the more updates; never further apart than a tenth."""
    counts = {}
    for rate in (1e-4, 0.15):
        updates = Updates()
        admm = pruned(rho=5.0, optimizer=keras.optimizers.SGD(rate))
        fit(admm, 20, tf_admm.ADMMCallback(20), updates)
        counts[rate] = len(updates.between)
        assert max(updates.between) <= 12 and sum(updates.between) >= 120 - 12
    assert counts[1e-4] == 10 < counts[0.15]


def test_half_of_the_way():
    admm = pruned(rho=1.0)
    admm.begin()
    (slot, *_) = admm._slots
    admm.dual_update(0.5)
    assert not admm.has_followed()
    for slot in admm._slots:
        z, u = slot.state.target(slot.w)
        target = np.array(z - u)
        slot.w.assign(np.array(slot.w) + 0.49 * (target - np.array(slot.w)))
    assert not admm.has_followed()
    for slot in admm._slots:
        z, u = slot.state.target(slot.w)
        target = np.array(z - u)
        slot.w.assign(np.array(slot.w) + 0.04 * (target - np.array(slot.w)))
    assert admm.has_followed()


def test_where_w_lies_in_its_set_it_has_no_way_to_follow():
    """As a round begins; there W trains, and comes no nearer."""
    admm = pruned({"a": Sparsity(0.5)}, rho=1.0)
    admm.begin()
    (slot,) = admm._slots
    kept = np.array(slot.settled, bool)
    w = np.where(kept, np.array(slot.w), 0.0)
    slot.w.assign(w)
    admm.begin()
    assert admm.penalty() == 0.0 and admm.has_followed()
    step = np.linalg.norm(w) / np.sqrt(np.sum(~kept))
    for share, expected in ((0.0099, True), (0.0101, False)):
        slot.w.assign(np.where(kept, w, share * step))
        assert admm.has_followed() is expected
    # A way that is longer is followed as ever.
    slot.w.assign(np.where(kept, w, 0.1 * step))
    admm.begin()
    admm.dual_update(0.5)
    assert not admm.has_followed()


# What W is pulled towards.


def test_only_what_is_to_be_zero_is_pulled():
    admm = pruned({"a": Sparsity(0.5)}, rho=3.0)
    admm.begin()
    (slot,) = admm._slots
    before = float(admm.penalty())
    kept = np.array(slot.settled) != 0
    w = np.array(slot.w)
    slot.w.assign(np.where(kept, w + 5.0, w))
    assert float(admm.penalty()) == pytest.approx(before)
    assert before == pytest.approx(1.5 * np.sum(np.square(w[~kept])), rel=1e-5)
    slot.w.assign(np.where(kept, w, w + 5.0))
    assert float(admm.penalty()) > before


# rho.


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_rho_follows_the_units_of_the_loss(scale):
    """First it is `share` times the gradient's norm over that of the weights."""
    admm = pruned({"a": Sparsity(0.5)}, rho="auto", optimizer=keras.optimizers.SGD(0.0))
    admm.compile(keras.optimizers.SGD(1e-9), "mse", loss_weights=[scale])
    seen = []
    look = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(admm.rho)
    )
    fit(admm, 2, tf_admm.ADMMCallback(1, 6), look)
    assert seen[:5] == [0.0] * 5
    import tensorflow as tf

    squares = []
    for i in range(6):
        rows = slice(20 * i, 20 * i + 20)
        with tf.GradientTape() as tape:
            y = admm.model(X[rows])
            loss = scale * tf.reduce_mean(tf.square(y - Y[rows].astype("float32")))
        w = admm.masks[0][0]
        squares.append(np.sum(np.square(tape.gradient(loss, w.value))))
    ages = 0.999 ** np.arange(5, -1, -1)
    norm = np.sqrt(np.dot(ages, squares) / ages.sum())
    # The weights are as they were, nearly: half of them were cut as the phase ended.
    size = np.linalg.norm(np.array(built().layers[0].kernel))
    assert seen[5] == pytest.approx(10.0 * norm / size, rel=0.2)


FOUND = {"primal": 0.5, "dual": 0.5, "changed": 0.0, "followed": True, "pull": 0.01}
FOUND |= {"most": 5.0, "kept": 1.0}


@pytest.mark.parametrize(
    "rho, found, expected",
    [
        (0.0, {}, 0.1),
        (0.0, {"pull": 100.0}, 5.0),
        (0.0, {"pull": 0.0}, 0.0),
        (1.0, {}, 1.0),
        (1.0, {"followed": False}, 2.0),
        (1.0, {"changed": 0.2}, 2.0),
        (1.0, {"primal": 5.1}, 2.0),
        (1.0, {"dual": 5.1}, 0.5),
        (1.0, {"dual": 5.1, "kept": 1.5}, 1.0),
        (4.0, {"changed": 0.2}, 5.0),
    ],
)
def test_balance(rho, found, expected):
    balanced = schedules.get("auto")
    found = schedules.Found(**FOUND | found)
    assert balanced.update(0.5, rho, found) == pytest.approx(expected)
    config = keras.saving.serialize_keras_object(balanced)
    assert schedules.get(config).get_config() == balanced.get_config()


def test_rho_does_not_shrink_while_the_sets_are_looser_than_the_weights():
    # Half of the weights are asked for: Cubic(4.0) keeps all of them at first.
    admm = pruned(Sparsity(0.5), rho="auto", kept=schedules.Cubic(4.0))
    log = fit(admm, 8, tf_admm.ADMMCallback(8, 2)).history
    assert log["admm_primal"][0] == 0.0
    assert min(log["rho"][:-1]) == log["rho"][0] > 0.0


def test_rho_goes_on_into_the_next_round_unless_it_has_a_schedule():
    for rho, expected in (("auto", None), (schedules.Cosine(0.1, 0.9), 0.1)):
        admm = pruned(rho=rho, regrowth=1.0)
        admm.begin()
        admm.dual_update(0.5)
        admm._progress.rho.assign(0.7)
        admm.regrow()
        assert admm.rho == pytest.approx(expected or 0.7)


# What is said of it.


@pytest.mark.parametrize(
    "rho, rate, freq, said",
    [
        (1e-3, 3e-2, 1, "has not settled.*rho=0.01.*`update_freq=4`"),
        # A rate that bears no more rho: of (1 - momentum) / 300 at most.
        (3e-3, 300.0, 6, "has not settled.*follows. Use `update_freq=24`"),
        (1e-3, 1e-4, 72, "far from Z.*a rho that ends at"),
        pytest.param(
            0.0, 1e-3, 6, "has not settled.*a positive rho", marks=pytest.mark.slow
        ),
        (1.0, 3e-2, 6, None),
    ],
)
def test_one_warning_at_the_hand_over_says_what_to_change(rho, rate, freq, said):
    admm = pruned(Sparsity(0.5), optimizer=keras.optimizers.Adam(rate), rho=rho)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        admm.fit(
            X, Y, epochs=13, batch_size=20, verbose=0,
            callbacks=[tf_admm.ADMMCallback(12, freq)],
        )  # fmt: skip
    messages = [str(w.message) for w in caught if w.category is UserWarning]
    assert len(messages) == (said is not None), messages
    if said:
        assert re.search(said, messages[0].replace("\n", " "))


def test_share_that_changed():
    admm = pruned({"a": Sparsity(0.5)}, rho=1.0)
    admm.begin()
    (slot,) = admm._slots
    slot.w.assign(np.arange(slot.w.shape[0] * 32).reshape(slot.w.shape) + 1.0)
    admm.dual_update(0.1)
    old = np.array(slot.z) != 0
    slot.w.assign(np.array(slot.w)[::-1] * 10)
    admm.dual_update(0.2)
    new = np.array(slot.z) != 0
    assert admm.changed == pytest.approx(np.mean(~old[new]))
    assert admm.changed > 0.5


@pytest.mark.parametrize(
    "how", [{"validation_data": (X[:40], Y[:40])}, {"validation_split": 0.32}]
)
def test_what_a_cut_would_cost(how):
    admm = pruned(rho=0.5)
    ours = tf_admm.ADMMCallback(2, evaluate_cut=True)
    history = fit(admm, 4, ours, **how).history
    validation = how.get("validation_data", (X[81:], Y[81:]))
    assert len(history["val_loss_cut"]) == 4
    assert history["val_loss_cut"][2:] == history["val_loss"][2:]
    assert len(set(history["val_loss_cut"])) == 4
    admm = pruned(rho=0.5, kept=schedules.Cubic(3.0))
    admm.begin()
    before = admm.model.get_weights()
    cut = admm.evaluate_cut(validation)
    for old, new in zip(before, admm.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    admm.finalize()
    assert cut["loss"] == pytest.approx(admm.evaluate(*validation, verbose=0))


# One number.


def test_one_number_does():
    admm = pruned(sparsity=0.8)
    fit(admm, 9, tf_admm.ADMMCallback())
    total = sum(int(np.prod(w.shape)) for w, _ in admm.masks)
    assert sum(zeros(admm)) == round(0.8 * total)
    assert admm.phase == "retraining"
    assert all(np.any(np.array(w) != 0) for w, _ in admm.masks)


@pytest.mark.parametrize(
    "kwargs, said",
    [
        ({"sparsity": 1.0}, "sparsity=1.0"),
        ({"sparsity": -0.1}, "sparsity=-0.1"),
        ({"sparsity": "half"}, "sparsity='half'"),
        ({"sparsity": 0.5, "constraints": Sparsity(0.5)}, "not both"),
        ({"regrowth": -1.0}, "regrowth=-1.0"),
        ({"regrowth": float("inf")}, "regrowth=inf"),
        ({"rho": "best"}, "rho='best'"),
    ],
)
def test_bad_arguments_of_the_model(kwargs, said):
    with pytest.raises(ValueError, match=said):
        pruned(**kwargs)


@pytest.mark.parametrize(
    "kwargs, regrowth, said",
    [
        ({"rounds": 1}, 0.0, "regrowth=0.0"),
        ({"rounds": 2, "admm_epochs": 2}, 1.0, "rounds=2"),
        ({"evaluate_cut": True}, 0.0, "validation_data"),
    ],
)
def test_bad_arguments_before_training(kwargs, regrowth, said):
    admm = pruned(regrowth=regrowth)
    before = admm.model.get_weights()
    with pytest.raises(ValueError, match=said):
        fit(admm, 4, tf_admm.ADMMCallback(**kwargs))
    for old, new in zip(before, admm.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_evaluates_the_cut_is_a_bool():
    with pytest.raises(ValueError, match="Expected a bool.*evaluate_cut='x'"):
        tf_admm.ADMMCallback(1, evaluate_cut="x")


@pytest.mark.parametrize("rounds", [-1, 0.5, "2"])
def test_bad_rounds(rounds):
    with pytest.raises(ValueError, match=f"rounds={rounds!r}"):
        tf_admm.ADMMCallback(rounds=rounds)


def test_regrow_needs_its_phase_and_its_argument():
    with pytest.raises(RuntimeError, match="ADMM phase"):
        pruned(regrowth=1.0).regrow()
    admm = pruned()
    admm.begin()
    with pytest.raises(RuntimeError, match="regrowth=0.0"):
        admm.regrow()
