"""Which kernel gets which constraint, and the dry run that shows it."""

import keras
import numpy as np
import pytest
from keras import layers
from test_kernels import found
from test_kernels import through

import tf_admm
from tf_admm import constraints as sets
from tf_admm.constraints import FilterSparsity
from tf_admm.constraints import GlobalSparsity
from tf_admm.constraints import Levels
from tf_admm.constraints import NMSparsity
from tf_admm.constraints import Sparsity
from tf_admm.constraints import UnitSparsity
from tf_admm.structure import kernels
from tf_admm.structure import selectors

HALF, THIRD = Sparsity(0.5), Sparsity(1 / 3)


def matched(model, constraints):
    pairs = selectors.match(kernels.find(model), constraints)
    return {kernel.path: constraint for kernel, constraint in pairs}


# Keys.


def two_level():
    inner = keras.Sequential(
        [layers.Dense(4, name="fc1"), layers.Dense(3, name="fc2")], name="inner"
    )
    return through(inner, layers.Dense(2, name="fc1"), shape=(5,))


A, B, C = "inner/fc1/kernel", "inner/fc2/kernel", "fc1/kernel"


@pytest.mark.parametrize(
    "constraints, expected",
    [
        pytest.param(HALF, {A: HALF, B: HALF, C: HALF}, id="lone"),
        pytest.param({"fc2": HALF}, {B: HALF}, id="name"),
        pytest.param({"fc1": HALF}, {A: HALF, C: HALF}, id="name, twice"),
        pytest.param({"inner": HALF}, {A: HALF, B: HALF}, id="composite"),
        pytest.param({"inner/fc1": HALF}, {A: HALF}, id="path"),
        pytest.param({A: HALF}, {A: HALF}, id="path of the variable"),
        pytest.param({"fc.": HALF}, {A: HALF, B: HALF, C: HALF}, id="regex"),
        pytest.param({".*/fc1": HALF}, {A: HALF}, id="regex on paths"),
        pytest.param({"fc[12]|x": HALF}, {A: HALF, B: HALF, C: HALF}, id="regex or"),
        pytest.param({"(?!inner).*": HALF}, {A: HALF, B: HALF, C: HALF}, id="not"),
        pytest.param(
            {"fc2": HALF, ".*": THIRD}, {A: THIRD, B: HALF, C: THIRD}, id="rest"
        ),
        pytest.param(
            {"inner": THIRD, "fc.": HALF},
            {A: THIRD, B: THIRD, C: HALF},
            id="first wins",
        ),
        pytest.param({"fc1": None, ".*": HALF}, {B: HALF}, id="excluded"),
        pytest.param({"inner": None, "fc1": HALF}, {C: HALF}, id="excluded, composite"),
        pytest.param(
            {"fc2": HALF, ".*": lambda kernel: THIRD if kernel.size > 15 else None},
            {A: THIRD, B: HALF},
            id="a function for the rest",
        ),
        pytest.param(
            lambda kernel: HALF if kernel.path.startswith("inner") else None,
            {A: HALF, B: HALF},
            id="a function for all",
        ),
        pytest.param(
            {"inner/fc1": HALF, "inner": THIRD}, {A: HALF, B: THIRD}, id="then the rest"
        ),
    ],
)
def test_keys(constraints, expected):
    assert matched(two_level(), constraints) == expected


def test_path_of_the_outer_layer_alone():
    assert matched(two_level(), {"fc1/kernel": HALF}) == {C: HALF}


@pytest.mark.parametrize("key", ["fc", "c1", "FC1", "inner/", "/fc1", "nner/fc1", ""])
def test_a_key_is_matched_in_full(key):
    with pytest.raises(ValueError, match="Expected each key"):
        matched(two_level(), {key: HALF})


@pytest.mark.parametrize("key", ["conv9", "fc[", "(", "*", "kernel", "bias", 1, None])
def test_a_key_that_matches_nothing_lists_what_could_be(key):
    with pytest.raises(ValueError) as error:
        matched(two_level(), {"fc1": HALF, key: HALF})
    message = str(error.value)
    assert "Expected each key of `constraints`" in message
    assert f"Received: {key!r}" in message
    assert all(path in message for path in (A, B, C))


@pytest.mark.parametrize("name", ["a+b", "c(1)", "d.e", "f[0]", "g*", "h^$", "i\\d"])
def test_a_literal_name_needs_no_escape(name):
    model = through(
        layers.Dense(2, name=name), layers.Dense(2, name="other"), shape=(3,)
    )
    assert matched(model, {name: HALF}) == {f"{name}/kernel": HALF}


def test_an_escaped_name_is_that_name_alone():
    model = through(
        layers.Dense(2, name="d.e"), layers.Dense(2, name="dxe"), shape=(3,)
    )
    assert matched(model, {"d\\.e": HALF}) == {"d.e/kernel": HALF}


@pytest.mark.parametrize("constraints", [{}, HALF])
def test_nothing_to_constrain(constraints):
    model = through(layers.BatchNormalization(), shape=(3,))
    with pytest.raises(ValueError, match="at least one kernel.*Received"):
        matched(model, constraints)


def test_embeddings_only_by_name():
    model = through(
        layers.Embedding(10, 4, name="words"),
        layers.LSTM(3, name="lstm"),
        shape=(5,),
        dtype="int32",
    )
    embedding, recurrent = "words/embeddings", "lstm/lstm_cell/recurrent_kernel"
    assert embedding in found(model)
    assert embedding not in matched(model, HALF)
    assert embedding not in matched(model, {".*": HALF})
    assert recurrent in matched(model, HALF)
    assert matched(model, {"words": HALF}) == {embedding: HALF}
    assert matched(model, {embedding: HALF}) == {embedding: HALF}


def test_name_of_a_composite_does_not_cover_its_embeddings():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(10, 4, name="words")(inputs)
    encoder = keras.Model(inputs, layers.LSTM(3, name="lstm")(x), name="encoder")
    model = keras.Sequential([encoder, layers.Dense(2, name="head")])
    below = {"encoder/lstm/lstm_cell/kernel", "encoder/lstm/lstm_cell/recurrent_kernel"}
    assert set(matched(model, {"encoder": HALF})) == below
    assert set(matched(model, {"encoder/words": HALF})) == {"encoder/words/embeddings"}


def test_frozen_kernels():
    model = two_level()
    model.layers[1].layers[0].trainable = False
    assert matched(model, HALF) == {B: HALF, C: HALF}
    assert matched(model, {"inner": HALF}) == {B: HALF}
    with pytest.raises(ValueError) as error:
        matched(model, {"fc2": HALF, "inner/fc1": HALF})
    message = str(error.value)
    assert "Expected the kernels to constrain to be trainable" in message
    assert "'inner/fc1', which matches only the untrainable" in message and A in message


class Twins(keras.Model):
    def __init__(self):
        super().__init__()
        self.left = layers.Dense(4, name="twin")
        self.right = layers.Dense(4, name="twin")
        self.other = layers.Dense(4, name="other")

    def call(self, x):
        return self.other(self.left(x) + self.right(x))


def test_ambiguous_path():
    model = Twins()
    model(np.ones((1, 4)))
    with pytest.raises(ValueError, match="path of its own.*twin/kernel.*names of"):
        matched(model, HALF)
    assert matched(model, {"other": HALF}) == {"other/kernel": HALF}


def test_paths_survive_a_save(tmp_path):
    """`variable.path` does not: that is why paths are structural."""
    model = two_level()
    file = tmp_path / "model.keras"
    model.save(file)
    loaded = keras.saving.load_model(file)
    assert found(loaded) == found(model) == [A, B, C]
    constraints = {"inner/fc1": HALF, "fc2": THIRD}
    assert matched(loaded, constraints) == matched(model, constraints)


@pytest.mark.parametrize(
    "bad", [0.5, "0.5", keras.constraints.NonNeg(), Sparsity, [HALF]]
)
@pytest.mark.parametrize(
    "wrap", [lambda c: c, lambda c: {"fc2": c}, lambda c: {"fc2": lambda kernel: c}]
)
def test_a_constraint_is_a_set_of_ours(bad, wrap):
    with pytest.raises(ValueError, match=r"tf_admm\.constraints.*Received"):
        tf_admm.ADMMModel(two_level(), wrap(bad))


@pytest.mark.parametrize("nothing", [{".*": None}, lambda kernel: None])
def test_everything_excluded(nothing):
    with pytest.raises(ValueError, match="Expected at least one kernel to constrain"):
        tf_admm.ADMMModel(two_level(), nothing)


@pytest.mark.parametrize(
    "constraints, useless",
    [
        ({".*": THIRD, "fc2": HALF}, "fc2"),
        ({"fc1": THIRD, "inner/fc1": HALF}, "inner/fc1"),
        ({"inner": None, "fc2": HALF, "fc1": HALF}, "fc2"),
    ],
)
def test_a_key_that_earlier_keys_leave_nothing(constraints, useless):
    with pytest.raises(ValueError, match="no earlier key matches") as error:
        matched(two_level(), constraints)
    assert f"Received: {useless!r}" in str(error.value)


@pytest.mark.parametrize(
    "constraints, paths",
    [
        ({"fc2": NMSparsity(2, 3)}, [B]),
        ({"fc1": sets.BlockSparsity(0.5, (6, 1)), "fc2": HALF}, [A, C]),
        ({"inner": sets.PatternSparsity(), "fc1": HALF}, [A, B]),
        ({"inner/fc1": UnitSparsity(0.5)}, [A]),
        (UnitSparsity(0.5), [A, B, C]),
    ],
)
def test_a_shape_that_the_set_makes_no_sense_for(constraints, paths):
    """Before any work, with the names of the layers."""
    for make in (tf_admm.ADMMModel, tf_admm.plan):
        with pytest.raises(ValueError, match="Expected .*kernel.*Received") as error:
            make(two_level(), constraints)
        assert str(paths) in str(error.value)


def test_kernels_that_get_the_same_object_share_it():
    one, other = GlobalSparsity(0.5), GlobalSparsity(0.5)
    pairs = selectors.match(kernels.find(two_level()), {"inner": one, "fc1": other})
    groups = selectors.together((kernel.path, c) for kernel, c in pairs)
    assert groups == [(one, [A, B]), (other, [C])]


# The dry run.


def test_plan_says_what_each_kernel_gets_and_why(capsys):
    model = through(
        layers.Embedding(10, 4, name="words"),
        layers.Dense(8, name="fc1"),
        layers.Dense(4, name="fc2"),
        layers.Dense(4, name="fc3", trainable=False),
        layers.Dense(4, name="fc4"),
        layers.Dense(2, name="head"),
        shape=(5,),
        dtype="int32",
    )
    before = model.get_weights()
    constraints = {
        "head": None,
        "fc1": Sparsity(0.75),
        "fc[23]": FilterSparsity(0.5),
    }
    plan = tf_admm.plan(model, constraints)
    rows = {
        row.path: (row.constraint, row.kept, row.total, row.why) for row in plan.rows
    }
    assert rows == {
        "words/embeddings": (None, 40, 40, "only by its own name"),
        "fc1/kernel": (constraints["fc1"], 8, 32, "'fc1'"),
        "fc2/kernel": (constraints["fc[23]"], 16, 32, "'fc[23]'"),
        "fc3/kernel": (None, 16, 16, "not trainable"),
        "fc4/kernel": (None, 16, 16, "no key matches"),
        "head/kernel": (None, 8, 8, "excluded by 'head'"),
    }
    assert (plan.kept, plan.total) == (104, 144)
    assert plan.ratio == pytest.approx(144 / 104)
    printed = capsys.readouterr().out
    assert all(path.split("/")[0] in printed for path in rows)
    for now, then in zip(model.get_weights(), before):
        np.testing.assert_array_equal(now, then)


def test_plan_of_a_function():
    plan = tf_admm.plan(two_level(), lambda k: HALF if "inner" in k.path else None)
    assert [row.why for row in plan.rows] == [
        "constraints",
        "constraints",
        "excluded by constraints",
    ]


def test_plan_is_whole_in_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    inner = keras.Sequential([layers.Dense(4, name="a_long_name")], name="another")
    tf_admm.plan(through(inner, shape=(5,)), Sparsity(0.987654))
    printed = capsys.readouterr().out
    cells = [[c.strip() for c in row.split("│")[1:]] for row in printed.splitlines()]
    columns = ["".join(column) for column in zip(*filter(None, cells))]
    assert "another/a_long_name/kernel" in columns[0]
    assert "Sparsity(0.987654)" in columns[2]


@pytest.mark.parametrize(
    "constraint", [HALF, GlobalSparsity(0.7), Levels.ternary(), FilterSparsity(0.5)]
)
def test_plan_counts_what_admm_will_keep(constraint):
    model = two_level()
    plan = tf_admm.plan(model, constraint)
    admm = tf_admm.ADMMModel(model, constraint)
    admm.finalize()
    summary = tf_admm.summary(model)
    assert [row.kept for row in plan.rows] == [row.kept for row in summary.rows]


# Misspelt keys, and units that don't touch.


@pytest.mark.parametrize(
    "key, meant",
    [("hiden", "hidden"), ("hiddne/kernel", "hidden/kernel"), ("haed", "head")],
)
def test_a_misspelt_key(key, meant):
    stack = layers.Dense(4, name="hidden"), layers.Dense(2, name="head")
    with pytest.raises(ValueError) as error:
        matched(through(*stack, shape=(3,)), {key: HALF})
    message = str(error.value)
    assert f"did you mean {meant!r}?" in message
    assert message.index("did you mean") < message.index("['hidden/kernel'")


def test_a_long_list_is_cut():
    stack = [layers.Dense(2, name=f"layer_{i}") for i in range(40)]
    with pytest.raises(ValueError, match="'layer_11/kernel'] and 28 more") as error:
        matched(through(*stack, shape=(2,)), {"?": HALF})
    assert "layer_12" not in str(error.value)


def a_b_c(touching):
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, name="a")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, name="b")(layers.Activation("relu")(x))
    if not touching:
        x = layers.Conv2D(4, 1, name="between")(x)
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    return keras.Model(inputs, layers.Dense(2, name="c")(x))


@pytest.mark.parametrize("plan", [tf_admm.plan, tf_admm.ADMMModel])
def test_units_must_touch(plan):
    units = UnitSparsity(0.5)
    plan(a_b_c(touching=True), {"a": units, "c": units})
    with pytest.raises(ValueError, match="Received: 'a/kernel' and 'c/kernel'.*touch"):
        plan(a_b_c(touching=False), {"a": units, "c": units})


def test_units_of_a_nested_model_and_of_one_that_can_not_be_seen():
    units = UnitSparsity(0.5)
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(4, name="a")])
    nested = through(inner, layers.Dense(2, name="c"), shape=(5,))
    assert len(matched(nested, {"a": units, "c": units})) == 2
    tf_admm.plan(nested, {"a": units, "c": units})
