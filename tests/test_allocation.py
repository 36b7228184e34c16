"""One budget made into a constraint for each kernel."""

import json
import math
import pathlib

import keras
import numpy as np
import pytest
from keras import layers
from sweeps import few

import tf_admm
from tf_admm.allocation import costs
from tf_admm.allocation import sensitivity
from tf_admm.constraints import BlockSparsity
from tf_admm.constraints import FilterSparsity
from tf_admm.constraints import Intersection
from tf_admm.constraints import Levels
from tf_admm.constraints import NMSparsity
from tf_admm.constraints import PatternSparsity
from tf_admm.constraints import Sparsity
from tf_admm.constraints import UnitSparsity
from tf_admm.structure import kernels

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
METHODS = ("uniform", "erk", "magnitude", "sensitivity")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8, 8, 2)).astype("float32")
    return x, (x.mean((1, 2, 3)) > 0).astype("int32")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The losses of the model below, which is the same for each test."""
    return tmp_path_factory.mktemp("cache") / "losses.json"


@pytest.fixture(scope="module")
def trained(data):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(8, 3, activation="relu", name="conv1")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(16, 3, activation="relu", name="conv2")(x)
    x = layers.Dense(32, activation="relu", name="fc1")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(2, name="fc2")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=False)
    model.fit(*data, verbose=0)
    return model, model.get_weights()


@pytest.fixture
def model(trained):
    """One model for all tests, its weights put back for each."""
    model, weights = trained
    model.set_weights(weights)
    return model


def kept(model, allocation):
    """Nonzeros of each kernel, projected by what it is allocated."""
    counts = {}
    for kernel in kernels.find(model):
        w = np.array(kernel.variable)
        if kernel.path in allocation:
            w = np.array(allocation[kernel.path](w))
        counts[kernel.path] = np.count_nonzero(w)
    return counts


def spent(model, allocation, name):
    """What a budget of this name comes to."""
    cost = {"bytes": costs.Bytes, "macs": costs.MACs}.get(name, costs.Nonzeros)(model)
    counts = kept(model, allocation)
    return sum(cost(kernel, counts[kernel.path]) for kernel in kernels.find(model))


BUDGETS = {"ratio": 12.0, "nonzeros": 900, "bytes": 6000, "macs": 20_000}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name, budget", BUDGETS.items(), ids=BUDGETS)
def test_a_budget_is_met_to_within_a_weight(model, data, cache, name, budget, method):
    before = model.get_weights()
    allocation = tf_admm.allocate(
        model, **{name: budget}, method=method, data=data, cache=cache
    )
    total = sum(kernel.size for kernel in kernels.find(model))
    bound = total / budget if name == "ratio" else budget
    # The most that one weight costs: its uses, or its bytes and a wider row index.
    unit = {"bytes": 6 + 17, "macs": 36}.get(name, 1)
    assert bound - unit < spent(model, allocation, name) <= bound
    for now, then in zip(model.get_weights(), before):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("method", ["uniform", "erk", "magnitude"])
@pytest.mark.parametrize(
    "family, unit",
    [
        (FilterSparsity, 400 * 32 // 32),
        (lambda s: BlockSparsity(s, (4, 1)), 4),
    ],
    ids=["filters", "blocks"],
)
def test_a_budget_in_units(model, family, unit, method):
    exclude = ["fc2", "conv1"]
    allocation = tf_admm.allocate(
        model, ratio=3.0, method=method, constraint=family, exclude=exclude
    )
    assert set(allocation) == {"conv2/kernel", "fc1/kernel"}
    total = sum(kernel.size for kernel in kernels.find(model))
    assert total / 3 - unit < spent(model, allocation, "ratio") <= total / 3


def test_admm_meets_the_budget(model, data):
    allocation = tf_admm.allocate(model, nonzeros=700, method="erk")
    admm = tf_admm.ADMMModel(model, allocation)
    admm.finalize()
    assert tf_admm.summary(admm.model).kept == 700


def densities(model, allocation):
    counts = kept(model, allocation)
    return {k.path: counts[k.path] / k.size for k in kernels.find(model)}


def test_uniform_is_the_same_everywhere(model):
    got = densities(model, tf_admm.allocate(model, ratio=4, method="uniform"))
    assert all(abs(density - 0.25) < 2 / 64 for density in got.values())


def test_erk_is_in_proportion_to_sum_over_product(model):
    got = densities(model, tf_admm.allocate(model, ratio=20, method="erk"))
    shapes = {k.path: k.shape for k in kernels.find(model)}
    raw = {path: sum(shape) / math.prod(shape) for path, shape in shapes.items()}
    scale = got["fc1/kernel"] / raw["fc1/kernel"]
    for path, shape in shapes.items():
        expected = min(1.0, scale * raw[path])
        assert got[path] == pytest.approx(expected, abs=2 / math.prod(shape) + 1e-3)


def test_magnitude_is_one_threshold(model):
    allocation = tf_admm.allocate(model, nonzeros=1000, method="magnitude")
    everything = [np.abs(np.ravel(k.variable)) for k in kernels.find(model)]
    threshold = np.sort(np.concatenate(everything))[-1000]
    expected = [np.count_nonzero(w >= threshold) for w in everything]
    assert list(kept(model, allocation).values()) == expected


def test_magnitude_of_units_is_per_weight(model):
    """Filters of two layers with the same weights are worth the same."""
    inputs = keras.Input((4,))
    x = layers.Dense(10, name="a")(inputs)
    y = layers.Dense(10, name="b")(layers.Concatenate()([inputs, inputs, inputs]))
    model = keras.Model(inputs, [x, y])
    a, b = (model.get_layer(name).kernel for name in "ab")
    a.assign(np.tile(np.linspace(0.1, 1.0, 10), (4, 1)))
    b.assign(np.tile(np.linspace(0.1, 1.0, 10), (12, 1)))
    allocation = tf_admm.allocate(
        model, ratio=2, method="magnitude", constraint=FilterSparsity
    )
    got = {path: c.kept(10) for path, c in allocation.items()}
    assert got == {"a/kernel": 5, "b/kernel": 5}


def test_sensitivity_takes_from_what_does_not_matter(data):
    """One branch is multiplied by zero."""
    inputs = keras.Input((8, 8, 2))
    flat = layers.Flatten()(inputs)
    useful = layers.Dense(16, name="useful")(flat)
    useless = layers.Rescaling(0.0)(layers.Dense(16, name="useless")(flat))
    out = layers.Dense(2, name="head")(layers.Add()([useful, useless]))
    model = keras.Model(inputs, out)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(*data, epochs=20, batch_size=64, verbose=0)
    allocation = tf_admm.allocate(model, ratio=2, method="sensitivity", data=data)
    got = kept(model, allocation)
    # As many weights as there are outputs stay.
    assert got["useless/kernel"] == 16
    assert got["useful/kernel"] + got["head/kernel"] == (2 * 2048 + 32) // 2 - 16


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_a_share_of_the_multiplications(model, share):
    whole = spent(model, {}, "macs")
    allocation = tf_admm.allocate(model, macs=share)
    count = spent(model, allocation, "macs")
    assert 0.99 * share * whole < count <= share * whole * (1 + 1e-9)


@pytest.mark.parametrize("method", ["uniform", "magnitude"])
def test_floors(model, method):
    """At the least budget each kernel keeps as many weights as it has outputs."""
    floors = {"conv1/kernel": 8, "conv2/kernel": 16, "fc1/kernel": 32, "fc2/kernel": 2}
    total = sum(floors.values())
    allocation = tf_admm.allocate(model, nonzeros=total, method=method)
    assert kept(model, allocation) == floors
    with pytest.raises(ValueError, match=f"the nearest is nonzeros={total},.*floor"):
        tf_admm.allocate(model, nonzeros=total - 1, method=method)


def test_filters_keep_one_at_least(model):
    allocation = tf_admm.allocate(
        model, ratio=8.0, method="uniform", constraint=FilterSparsity
    )
    assert min(c.kept(n) for c, n in zip(allocation.values(), (8, 16, 32, 2))) >= 1


@pytest.mark.parametrize(
    "budget, nearest",
    [
        ({"ratio": 1e6}, "ratio="),
        ({"ratio": 0.5}, "ratio=1,"),
        ({"macs": 10}, "macs="),
        ({"macs": 1e-4}, "macs=0.0"),
        ({"bytes": 10}, "bytes="),
        ({"nonzeros": 10**9}, "nonzeros="),
    ],
)
def test_an_impossible_budget_names_the_nearest(model, budget, nearest):
    with pytest.raises(ValueError, match="Expected a budget that can be met") as error:
        tf_admm.allocate(model, **budget)
    message = str(error.value)
    assert f"the nearest is {nearest}" in message
    ((name, _),) = budget.items()
    possible = float(message.split(f"{name}=")[1].split(",")[0])
    tf_admm.allocate(model, **{name: possible})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "Expected one budget.*Received: none"),
        ({"ratio": 2, "macs": 10}, "Expected one budget.*'macs': 10"),
        ({"ratio": 0}, "`ratio`. Expected a positive number. Received: ratio=0"),
        ({"ratio": math.nan}, "`ratio`. Expected a positive number"),
        ({"nonzeros": -1}, "`nonzeros`. Expected a positive number"),
        ({"ratio": 2, "method": "best"}, "`method`. Expected one of.*method=best"),
        ({"ratio": 2, "method": "sensitivity"}, "held-out `data`"),
        ({"ratio": 2, "constraint": lambda s: NMSparsity(2, 4)}, "`constraint`"),
        ({"ratio": 2, "constraint": lambda s: Levels.ternary()}, "`constraint`"),
        ({"ratio": 2, "exclude": ["fc9"]}, "'fc9', which matches none"),
        ({"ratio": 2, "exclude": "fc2"}, "`exclude`. Expected a list of keys"),
        ({"ratio": 2, "exclude": None}, "`exclude`. Expected a list of keys"),
        ({"ratio": 2, "exclude": [".*"]}, "at least one kernel.*excluded by"),
        ({"ratio": "10"}, "`ratio`. Expected a positive number. Received: ratio='10'"),
        ({"ratio": 2, "method": ["erk"]}, "`method`. Expected one of"),
        ({"ratio": 2, "constraint": None}, "`constraint`.*NoneType"),
        ({"ratio": 2, "constraint": BlockSparsity}, "`constraint`.*argument: 'block'"),
        ({"ratio": 2, "constraint": lambda s: Sparsity(0.9)}, "returns Sparsity.0.9."),
        (
            {"ratio": 2, "constraint": lambda s: BlockSparsity(s, (16, 16))},
            "block of shape",
        ),
    ],
)
def test_bad_input(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        tf_admm.allocate(model, **arguments)


def test_sensitivity_needs_a_compiled_model(model, data):
    plain = keras.Model.from_config(model.get_config())
    with pytest.raises(ValueError, match="compiled model.*model.compiled=False"):
        tf_admm.allocate(plain, ratio=2, method="sensitivity", data=data)


@pytest.mark.parametrize(
    "made, message",
    [
        (lambda x, y: x, "dataset.*ndarray"),
        (lambda x, y: (x,), "dataset.*tuple"),
        (lambda x, y: [x, y], "dataset.*list"),
        (lambda x, y: iter([(x, y)]), "many times.*iterator"),
        (lambda x, y: (x[:0], y[:0]), "loss of the model is finite.*nan"),
        (lambda x, y: (x[:, 1:], y), "`data` that .* evaluated on.*incompatible"),
        (lambda x, y: (x, y[1:]), "`data` that .* evaluated on.*same number"),
    ],
    ids=["x", "x alone", "list", "iterator", "none", "narrow", "short"],
)
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_that_sensitivity_can_not_use(model, data, tmp_path, made, message):
    cache = tmp_path / "losses.json"
    arguments = dict(ratio=10, method="sensitivity", data=made(*data), cache=cache)
    with pytest.raises(ValueError, match=message):
        tf_admm.allocate(model, **arguments)
    assert not cache.exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite(bad):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, name="fc")])
    model.compile("sgd", "mse", jit_compile=False)
    data = np.full((8, 4), bad), np.ones(8)
    with pytest.raises(ValueError, match="loss of the model is finite. Received"):
        tf_admm.allocate(model, ratio=1, method="sensitivity", data=data)


def items(found):
    """Kernels as what is projected alone."""
    return [sensitivity.OfKernel(kernel, Sparsity) for kernel in found]


def test_weighted_samples(model, data):
    """Samples without weight are as if they were not there."""
    x, y = data
    found, rest = kernels.find(model)[-1:], np.zeros(32)
    weighted = (x, y, np.concatenate([np.ones(32), rest]))
    some = sensitivity.curves(model, items(found), Sparsity, (x[:32], y[:32]))
    all_ = sensitivity.curves(model, items(found), Sparsity, weighted)
    losses = np.array(some["fc2/kernel"])[:, 1]
    # Keras divides by the number of samples, whatever their weights.
    got = np.array(all_["fc2/kernel"])[:, 1]
    np.testing.assert_allclose(got / got[0], losses / losses[0], rtol=1e-4)


# The cache of the losses.


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "null", '{"fc1": null}'])
def test_a_file_that_is_no_cache_is_left_alone(model, data, tmp_path, text):
    cache = tmp_path / "rates.json"
    cache.write_text(text)
    with pytest.raises(ValueError, match="`cache`.*rates.json, which holds something"):
        tf_admm.allocate(model, ratio=9, method="sensitivity", data=data, cache=cache)
    assert cache.read_text() == text


def test_a_cache_that_can_not_be_written_is_an_error_before_the_work(
    model, data, capsys
):
    with pytest.raises(FileNotFoundError):
        tf_admm.allocate(
            model,
            ratio=9,
            method="sensitivity",
            data=data,
            cache="/nowhere/losses.json",
        )
    # Not even the progress bar.
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["weights", "channels"])
def test_nothing_is_printed_where_that_is_asked(model, data, structure, capsys):
    options = {"structure": structure, "method": "sensitivity", "data": data}
    tf_admm.allocate(model, macs=20_000, verbose=0, **options)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_other_arrays_with_the_same_loss_are_measured(tmp_path):
    """A hinge that every sample is beyond."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, name="fc")])
    model.get_layer("fc").kernel.assign(np.full((4, 1), 2.0))
    model.compile("sgd", "hinge", jit_compile=False)
    one, two = np.ones((8, 4)), np.eye(4)[np.arange(8) % 4]
    cache, found = tmp_path / "losses.json", kernels.find(model)
    for x in (one, two):
        got = sensitivity.curves(model, items(found), Sparsity, (x, np.ones(8)), cache)
        fresh = sensitivity.curves(model, items(found), Sparsity, (x, np.ones(8)))
        assert got == fresh and got["fc/kernel"][0] == [1.0, 0.0]


@pytest.mark.slow
def test_losses_are_measured_once(model, data, tmp_path, monkeypatch):
    cache = tmp_path / "losses.json"
    arguments = dict(
        ratio=3,
        method="sensitivity",
        data=data,
        cache=cache,
        exclude=["conv1", "conv2", "fc2"],
    )
    first = tf_admm.allocate(model, **arguments)
    evaluate, calls = model.evaluate, []

    def counting(*args, **kwargs):
        calls.append(args)
        return evaluate(*args, **kwargs)

    def measured(**changed):
        """How many losses it measures, besides the dense one."""
        calls.clear()
        result = tf_admm.allocate(model, **{**arguments, **changed})
        return len(calls) - 1, result

    monkeypatch.setattr(model, "evaluate", counting)
    none, again = measured()
    assert none == 0
    assert {k: v.sparsity for k, v in again.items()} == {
        k: v.sparsity for k, v in first.items()
    }
    # Other sets, other data, and other weights are measured anew.
    everything = len(sensitivity.DENSITIES)
    assert measured(constraint=FilterSparsity, ratio=1.1)[0] == everything
    x, y = data
    assert measured(data=(x[:32], y[:32]))[0] == everything
    model.get_layer("fc2").kernel.assign_add(np.full((32, 2), 0.1))
    assert measured()[0] == everything


def test_a_failed_measurement_puts_the_weights_back(model, data, monkeypatch):
    before, calls = model.get_weights(), []
    evaluate = model.evaluate

    def failing(*args, **kwargs):
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(model, "evaluate", failing)
    with pytest.raises(KeyboardInterrupt):
        tf_admm.allocate(model, ratio=10, method="sensitivity", data=data)
    for now, then in zip(model.get_weights(), before):
        np.testing.assert_array_equal(now, then)


# The table.


def test_it_is_read_as_it_was_written(model, tmp_path, capsys):
    allocation = tf_admm.allocate(model, ratio=10)
    assert "conv1/kernel" in capsys.readouterr().out
    path = tmp_path / "allocation.json"
    allocation.save(path)
    loaded = tf_admm.Allocation.load(path)
    assert kept(model, loaded) == kept(model, allocation)
    assert list(loaded) == list(allocation)
    assert all(type(c) is Sparsity for c in loaded.values())


@pytest.mark.parametrize(
    "constraint",
    [
        BlockSparsity(0.5, (4, 1)),
        NMSparsity(2, 4, axis=0),
        Levels.uniform(3, per_channel=True),
        Intersection(Sparsity(0.95), Levels.binary()),
        PatternSparsity(connectivity=0.5),
    ],
)
def test_any_set_can_be_written(tmp_path, constraint):
    path = tmp_path / "allocation.json"
    tf_admm.Allocation({"fc.*": constraint, "head": None}).save(path)
    loaded = tf_admm.Allocation.load(path)
    assert loaded["head"] is None
    assert type(loaded["fc.*"]) is type(constraint)
    assert loaded["fc.*"].get_config() == constraint.get_config()


@pytest.mark.parametrize("text", ["[1, 2]", '"abc"', "{", ""])
def test_a_file_that_is_no_allocation(tmp_path, text):
    path = tmp_path / "allocation.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="Expected.*allocation.json. Received"):
        tf_admm.Allocation.load(path)


def test_a_function_is_not_written(tmp_path):
    path = tmp_path / "allocation.json"
    with pytest.raises(ValueError, match="Expected constraints, which JSON can hold"):
        tf_admm.Allocation({"fc1": lambda kernel: None}).save(path)
    assert not path.exists()


def test_one_constraint_under_several_keys_is_not_written(tmp_path):
    units = UnitSparsity(0.5)
    path = tmp_path / "allocation.json"
    with pytest.raises(ValueError, match="constraint of its own under each key"):
        tf_admm.Allocation({"fc1": units, "fc2": units}).save(path)
    assert not path.exists()
    tf_admm.Allocation({"fc1|fc2": units}).save(path)


def test_the_recipes_are_constraints():
    recipes = sorted((EXAMPLES / "recipes" / "sets").glob("*.json"))
    assert len(recipes) > 10
    model = keras.saving.load_model(EXAMPLES.parent / "saved_models/lenet5_dense.keras")
    for path in recipes:
        plan = tf_admm.plan(model, tf_admm.Allocation.load(path))
        assert any(row.constraint is not None for row in plan.rows)


def test_it_can_be_edited(model, tmp_path):
    path = tmp_path / "allocation.json"
    tf_admm.allocate(model, ratio=10).save(path)
    record = json.loads(path.read_text())
    assert set(record["fc1/kernel"]) == {"Sparsity"}
    record["fc1/kernel"]["Sparsity"]["sparsity"] = 0.75
    record["conv1/kernel"] = {"BlockSparsity": {"sparsity": 0.5, "block": [2, 1]}}
    record["conv2/kernel"] = None
    path.write_text(json.dumps(record))
    loaded = tf_admm.Allocation.load(path)
    admm = tf_admm.ADMMModel(model, loaded)
    admm.finalize()
    rows = {row.path: row.sparsity for row in tf_admm.summary(model).rows}
    assert rows["fc1/kernel"] == 0.75 and rows["conv1/kernel"] == 0.5
    assert rows["conv2/kernel"] == 0.0


@pytest.mark.parametrize(
    "entry",
    [
        0.5,
        "Sparsity",
        {},
        {"NoSuchSet": {}},
        {"Sparsity": {"density": 0.5}},
        {"Sparsity": {"sparsity": 2}},
        {"Sparsity": {"sparsity": 0.5}, "Clusters": {"clusters": 2}},
    ],
)
def test_an_entry_that_is_no_constraint(tmp_path, entry):
    path = tmp_path / "allocation.json"
    path.write_text(json.dumps({"fc1": entry}))
    with pytest.raises(ValueError, match="Expected the entry of 'fc1' to be null"):
        tf_admm.Allocation.load(path)


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b"\x80", b"[" * 100_000])
def test_files_that_are_no_json(model, data, tmp_path, content):
    path = tmp_path / "allocation.json"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match="^Expected JSON in .*allocation.json. Received"
    ):
        tf_admm.Allocation.load(path)
    with pytest.raises(ValueError, match="^Expected `cache`.*allocation.json"):
        tf_admm.allocate(model, ratio=9, method="sensitivity", data=data, cache=path)


# Weights that are pruned by name only.


def bert_like():
    """Half of its weights are embeddings."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(512, 16, name="token_embedding")(inputs)
    x = layers.Dense(256, "relu", name="fc1")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    return model, (rng.integers(0, 512, (16, 6)), rng.integers(0, 2, 16))


TABLE, REST = 512 * 16, 96 * 256 + 256 * 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("budget", few(["ratio", "nonzeros"], "ratio"))
def test_include_reaches_embeddings(method, budget):
    model, data = bert_like()
    wanted = {"ratio": 10, "nonzeros": (TABLE + REST) // 10}[budget]
    allocation = tf_admm.allocate(
        model, **{budget: wanted}, method=method, data=data, include=["token_embedding"]
    )
    assert set(allocation) == {
        "token_embedding/embeddings",
        "fc1/kernel",
        "head/kernel",
    }
    assert spent(model, allocation, budget) == (TABLE + REST) // 10
    # By their own paths, they reach what they are for.
    admm = tf_admm.ADMMModel(model, allocation)
    admm.finalize()
    assert tf_admm.summary(model).kept == (TABLE + REST) // 10


@pytest.mark.parametrize(
    "budget, cost",
    [({"ratio": 10}, TABLE), ({"nonzeros": 100}, TABLE), ({"bytes": 100}, 4 * TABLE)],
)
def test_what_holds_a_budget_up_is_named(budget, cost):
    model, _ = bert_like()
    with pytest.raises(ValueError, match="Expected a budget that can be met") as error:
        tf_admm.allocate(model, **budget)
    message = str(error.value)
    share = f"{TABLE / (TABLE + REST):.0%} of all"
    assert f"'token_embedding/embeddings' ({cost:,}, {share})" in message
    assert "can't be chosen unless `include=['token_embedding']`" in message
    ((name, _),) = budget.items()
    possible = float(message.split(f"{name}=")[1].split(",")[0])
    tf_admm.allocate(model, **{name: possible})


def test_what_is_excluded_holds_it_up_too():
    model, _ = bert_like()
    with pytest.raises(
        ValueError, match=r"'fc1/kernel' \(24,576, 74% of all\): excluded"
    ):
        tf_admm.allocate(model, ratio=10, exclude=["fc1"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"bytes": 9000}, "zeros the budget `bytes` counts.*costs 32,768 however"),
        ({"macs": 9000}, "zeros the budget `macs` counts.*costs 0 however"),
        ({"ratio": 2, "include": "token_embedding"}, "`include`. Expected a list"),
        (
            {"ratio": 2, "include": ["tokens"]},
            "key of `include`.*'tokens', which matches",
        ),
        ({"ratio": 2, "structure": "channels"}, "`include` with structure='weights'"),
    ],
)
def test_bad_includes(arguments, message):
    model, _ = bert_like()
    with pytest.raises(ValueError, match=message):
        tf_admm.allocate(model, **{"include": ["token_embedding"], **arguments})
