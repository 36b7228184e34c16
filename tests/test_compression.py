"""One call, from a trained model to the file to ship."""

import html
import json
import pathlib
import re
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import tf_admm
from tf_admm.compression import batches
from tf_admm.compression import copies
from tf_admm.compression import families
from tf_admm.compression import pace
from tf_admm.compression import progress
from tf_admm.compression import rates
from tf_admm.compression import runs
from tf_admm.compression import search
from tf_admm.reporting.words import times
from tf_admm.structure import copying
from tf_admm.structure import seeds

slow = pytest.mark.slow
RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 12)).astype("float32")
#: Three classes that some of the inputs tell apart.
LABELS = np.argmax(X[:, :3] + 0.3 * X[:, 3:6], axis=1)
TARGETS = (X @ RNG.normal(size=(12, 2))).astype("float32")


def classifier(dropout=0.0, **kwargs):
    keras.utils.set_random_seed(0)
    between = [keras.layers.Dropout(dropout)] if dropout else []
    layers = [keras.Input((12,)), keras.layers.Dense(32, "relu", name="hidden")]
    model = keras.Sequential([*layers, *between, keras.layers.Dense(3, name="head")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"metrics": ["accuracy"], "jit_compile": False} | kwargs
    model.compile(keras.optimizers.Adam(0.01), loss, **options)
    model.fit(X, LABELS, epochs=10, verbose=0)
    return model


def compressed(model, data=(X, LABELS), **kwargs):
    options = {"epochs": 3, "verbose": 0} | kwargs
    return tf_admm.compress(model, data, **options)


def zeros(model):
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    total = sum(int(np.prod(w.shape)) for w in kernels)
    return sum(int(np.sum(np.array(w) == 0)) for w in kernels), total


# The search.


@settings(deadline=None, max_examples=200)
@given(
    threshold=st.floats(2e-4, 1.0),
    factor=st.floats(1.5, 8.0),
    fineness=st.floats(1.05, 1.5),
)
def test_the_search_ends_near_the_smallest_that_does(threshold, factor, fineness):
    tried = []
    while (share := search.following(tried, factor, fineness, 1e-4)) is not None:
        assert 1e-4 <= share < 1.0 and share not in [s for s, _ in tried]
        tried.append((share, share >= threshold))
        assert len(tried) < 60
    smallest = min((s for s, meets in tried if meets), default=1.0)
    assert threshold <= smallest <= threshold * fineness * (1 + 1e-9)


@settings(deadline=None, max_examples=200)
@given(threshold=st.floats(1e-5, 1.5), fineness=st.floats(1.05, 1.5))
def test_the_largest_that_does(threshold, fineness):
    found = search.largest(lambda share: share <= threshold, 2.0, fineness, 1e-4)
    if threshold >= 1.0:
        assert found == 1.0
    elif threshold < 1e-4:
        assert found is None
    else:
        assert threshold / fineness * (1 - 1e-9) <= found <= threshold


# The data.


def test_rows_are_in_an_order_of_seed_and_epoch_as_fit_sees_them():
    seen = []

    class Noting(keras.Model):
        def train_step(self, data):
            seen.extend(np.array(data[0]).ravel().tolist())
            return {"loss": 0.0}

    rows = np.arange(10.0)[:, None]
    train, order = batches.of((rows, rows), (rows, rows), None, 3, 7).train(2)
    model = Noting()
    model.compile(run_eagerly=True)
    model.fit(train, initial_epoch=1, epochs=3, shuffle=False, callbacks=order)
    expected = [np.random.default_rng([9, epoch]).permutation(10) for epoch in (1, 2)]
    assert seen == np.concatenate(expected).tolist()


def test_what_is_set_aside_is_a_tenth_of_the_rows_and_not_trained_on():
    data = ({"a": np.arange(50), "b": np.arange(50) * 2}, np.arange(50))
    divided = batches.of(data, None, None, 8, 0)
    train, _ = divided.train(0)
    trained = np.concatenate([y for _, y in train])
    aside = divided.validation[1]
    assert len(aside) == 5 and sorted([*trained, *aside]) == list(range(50))
    for x, y in [*train, divided.validation]:
        assert np.array_equal(x["a"], y) and np.array_equal(x["b"], 2 * y)


class Doubling(keras.layers.Layer):
    """Of a class that is not registered."""

    def call(self, x):
        return 2.0 * x


def test_a_copy_computes_the_same():
    """Also where a layer makes more of its variables than they are."""
    scale = keras.layers.Normalization()
    scale.adapt(X + 3.0)
    layers = [keras.layers.BatchNormalization(), Doubling(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((12,)), scale, *layers])
    for variable in model.layers[1].variables:
        variable.assign(RNG.uniform(0.5, 2.0, variable.shape))
    copy = copying.copied(model)
    assert np.array_equal(copy.predict(X, verbose=0), model.predict(X, verbose=0))
    assert not {id(v) for v in copy.variables} & {id(v) for v in model.variables}


def test_a_copy_of_an_operation_that_is_named_as_a_layer_is():
    x = inputs = keras.Input((12,))
    y = keras.layers.Add()([keras.layers.Dense(12)(x), x])
    y = keras.layers.Multiply()([y * 2.0, keras.ops.relu(y + 3.0)])
    model = keras.Model(inputs, Doubling()(y - 1.0))
    copy = copying.copied(model)
    assert np.array_equal(copy.predict(X, verbose=0), model.predict(X, verbose=0))


def test_channels_leave_half_of_the_time_to_the_weights():
    bar = progress.Bar(4.0 / 60.0, verbose=0)
    shares = families.FewChannels.patience, families.Weights.patience
    assert [bar.has_time(share) for share in shares] == [True, True]
    time.sleep(2.1)
    assert [bar.has_time(share) for share in shares] == [False, True]
    bar.took(4.0)
    assert not bar.has_time()


# A run as a folder.


def test_a_run_goes_on_as_itself_only(tmp_path):
    first = runs.Run(tmp_path, "first")
    first.begin()
    (tmp_path / ".run" / "stage_0").mkdir()
    assert runs.Run(tmp_path, "first").stages == []
    with pytest.raises(ValueError, match="something else. Give `overwrite=True`"):
        runs.Run(tmp_path, "second")
    second = runs.Run(tmp_path, "second", overwrite=True)
    second.begin()
    assert not (tmp_path / ".run" / "stage_0").exists()
    with pytest.raises(ValueError, match="something else"):
        runs.Run(tmp_path, "first")


def test_a_run_removes_the_files_of_the_run_before_only(tmp_path):
    for name in ("model.keras", "report.html", "old.tflite", "both.tflite", "my.txt"):
        (tmp_path / name).write_text("before")
    old = {"files": {"a": str(tmp_path / "old.tflite"), "b": "/else/both.tflite"}}
    (tmp_path / "result.json").write_text(json.dumps(old))
    with pytest.raises(ValueError, match="`overwrite=True`.*a run that is done"):
        runs.check(tmp_path)
    runs.check(tmp_path, overwrite=True)
    run = runs.Run(tmp_path, "new", overwrite=True)
    run.begin()
    assert json.loads((tmp_path / "result.json").read_text()) == old
    run.finish({"files": {"b": str(tmp_path / "both.tflite")}})
    left = ["both.tflite", "model.keras", "my.txt", "report.html", "result.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left


@pytest.mark.parametrize("text", ["{}", "[]", "3", "no json", '{"files": [1]}'])
def test_what_no_run_wrote_is_not_replaced(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ValueError, match="which no run has written"):
        runs.check(tmp_path, overwrite=True)
    assert (tmp_path / "result.json").read_text() == text


def test_a_fingerprint_is_of_everything():
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    rows = X[:40], LABELS[:40]

    def key(data=rows, validation=rows, test=None, model=model, **options):
        return runs.fingerprint(
            model, batches.of(data, validation, test, 8, 0), **options
        )

    texts = np.array(["a", "b"] * 20, dtype=object)
    other = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    keys = [
        key(),
        key(data=(X[:40], LABELS[1:41])),
        key(data=(X[1:41], LABELS[:40])),
        key(validation=(X[:40], LABELS[1:41])),
        key(test=rows),
        key(data=(texts, LABELS[:40])),
        key(data=(texts[::-1], LABELS[:40])),
        key(model=other),
        key(mode="min"),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == key() and keys[5] == key(data=(texts.copy(), LABELS[:40]))


def half(y, outputs):
    """A function that Keras can't find by its name."""
    return keras.ops.mean(outputs) / 2


OF_ONES_OWN = [half, lambda y, outputs: half(y, outputs)]


@pytest.mark.parametrize("metric", ["accuracy", *OF_ONES_OWN])
def test_a_file_is_compiled_if_keras_alone_can_load_it(tmp_path, metric):
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.3), loss, metrics=[metric])
    copies.save(model, tmp_path / "a.keras", copying.compile_config(model))
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(loaded(X[:4]), model(X[:4]))
    assert loaded.compiled == (metric == "accuracy")
    if loaded.compiled:
        assert float(loaded.optimizer.learning_rate) == pytest.approx(0.3)
        found = (m.evaluate(X, LABELS, verbose=0) for m in (model, loaded))
        np.testing.assert_allclose(*found, rtol=1e-5)


# What comes out.


@pytest.fixture(scope="module")
def trained():
    # Of so few rows, tracing takes longer than all steps.
    return classifier(run_eagerly=True)


@pytest.fixture(scope="module")
def searched(trained, tmp_path_factory):
    model, output = trained, tmp_path_factory.mktemp("out") / "run"
    before = [np.array(v) for v in model.variables]
    small, report = compressed(
        model, max_drop=0.1, epochs=2, test_data=(X[:100], LABELS[:100]), output=output
    )
    return model, before, small, report, output


def test_the_model_that_is_given_is_left_as_it_is(searched):
    model, before, *_ = searched
    for variable, old in zip(model.variables, before, strict=True):
        assert np.array_equal(np.array(variable), old)


def test_what_is_named_is_the_smallest_that_was_good_enough(searched):
    _, _, small, report, _ = searched
    good = [s for s in report.stages if s["meets"]]
    share = {s["noun"]: s["share"] for s in good}
    assert report.share < 1.0
    # Channels first, which may use up half.
    assert list(share) == ["multiplications", "weights"]
    allowed = {"multiplications": 0.05, "weights": 0.1}
    for stage in report.stages:
        drop = report.dense - stage["metric"]
        assert stage["meets"] == (drop <= allowed[stage["noun"]])
        assert bool(stage["why"]) == (drop <= 0.1 and not stage["meets"])
        assert 0.0 < stage["left"] <= 1.0
    dense, beside, *others = report.deployment.variants
    assert beside.name == "dense int8" and beside.macs == 480
    assert all(v.macs <= share["multiplications"] * 480 for v in others)
    # The kernels have 12 * 32 + 32 * 3 weights; dead units are gone already.
    kept = zeros(small)[1] - zeros(small)[0]
    assert kept == round(report.share * 480) <= round(share["weights"] * 480)
    counted = {"multiplications": zeros(small)[1], "weights": kept}
    for noun, left in counted.items():
        factor = re.search(rf"([\d.]+) times fewer {noun}", report.headline)[1]
        assert float(factor) == pytest.approx(480 / left, rel=0.05)
    enough = [v.bytes for v in others if dense.metric - v.metric <= 0.1]
    assert report.chosen.bytes == min([dense.bytes, *enough])


def test_files_are_as_the_report_has_them(searched):
    from ai_edge_litert.interpreter import Interpreter

    model, _, small, report, output = searched
    record = json.loads((output / "result.json").read_text())
    assert record["headline"] == report.headline
    page = html.unescape((output / "report.html").read_text())
    assert report.headline in page
    # What was aimed at, what was pruned for it, and what was counted.
    for stage in report.stages:
        what = {"multiplications": "channels", "weights": "weights"}[stage["noun"]]
        row = re.search(
            f">{what}: {times(stage['share'])} fewer[^<]*</th><td>(.*?)<", page
        )
        assert row[1] == f"{100 * stage['left']:.2f} %"
    names = {pathlib.Path(path).name for path in report.files.values()}
    expected = names | {"model.keras", "report.html", "result.json"}
    assert {path.name for path in output.iterdir()} == expected
    assert report.files.keys() == {v.name for v in report.deployment.variants[2:]}
    for variant in report.deployment.variants[2:]:
        size = pathlib.Path(report.files[variant.name]).stat().st_size
        assert size == variant.bytes
    run = Interpreter(report.files[report.chosen.name]).get_signature_runner()
    (name,) = run.get_input_details()
    scores = [next(iter(run(**{name: x[None]}).values()))[0] for x in X[:100]]
    accuracy = np.mean(np.argmax(scores, axis=1) == LABELS[:100])
    assert report.test["chosen"] == pytest.approx(accuracy, abs=1e-6)
    loaded = keras.saving.load_model(output / "model.keras")
    expected = keras.ops.convert_to_numpy(small(X[:8]))
    assert np.array_equal(keras.ops.convert_to_numpy(loaded(X[:8])), expected)


def test_a_run_that_is_done_is_not_run_again(searched):
    model, *_, output = searched
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    with pytest.raises(ValueError, match="which holds a run that is done"):
        compressed(model, output=output)
    assert before == {path: path.stat().st_mtime_ns for path in output.iterdir()}


def test_what_a_metric_has_seen_elsewhere_counts_for_nothing():
    metric = keras.metrics.SparseCategoricalAccuracy(name="hits")
    model = classifier(metrics=[metric], run_eagerly=True)
    model.evaluate(X, (LABELS + 1) % 3, verbose=0)
    seen = [np.array(v) for v in metric.variables]
    data = (X[:100], LABELS[:100])
    small, report = compressed(model, ratio=2, epochs=2, validation_data=data)
    for value, one in ((report.dense, model), (report.stages[-1]["metric"], small)):
        hits = np.argmax(one(X[:100]), axis=1) == LABELS[:100]
        assert value == pytest.approx(np.mean(hits), abs=1e-6)
    for variable, value in zip(metric.variables, seen):
        assert np.array_equal(np.array(variable), value)


def words(**kwargs):
    """Classes of numbered words, by an embedding that holds most of the weights."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8,), dtype="int32")]
    layers += [keras.layers.Embedding(50, 8), keras.layers.GlobalAveragePooling1D()]
    model = keras.Sequential([*layers, keras.layers.Dense(3, name="head")])
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    x = RNG.integers(1, 50, (200, 8)).astype("int32")
    return model, (x, x[:, 0] % 3)


def test_what_is_trained_is_pruned_beside_much_that_is_not():
    """As the head of a network whose base is frozen."""
    keras.utils.set_random_seed(0)
    base = keras.Sequential(
        [keras.Input((12,)), keras.layers.Dense(200, "relu"), keras.layers.Dense(24)]
    )
    base.trainable = False
    head = [keras.layers.Dense(16, "relu", name="h"), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((12,)), base, *head])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], run_eagerly=True)
    options = {"structure": "weights", "max_drop": 0.6, "epochs": 2}
    small, report = compressed(model, (X[:64], LABELS[:64]), **options)
    trained, frozen = 24 * 16 + 16 * 3, 12 * 200 + 200 * 24
    least = min(stage["share"] for stage in report.stages if stage["meets"])
    quarter = (frozen + trained / 4) / (frozen + trained)
    assert frozen / (frozen + trained) < least < quarter and report.share < quarter


@slow
def test_embeddings_count_for_a_ratio_and_are_pruned():
    model, data = words()
    small, report = compressed(model, data, ratio=4, epochs=2)
    assert report.left["weights"] <= 0.25
    assert zeros_of(small.layers[0].embeddings) > 200


def zeros_of(variable):
    return int(np.sum(np.array(variable) == 0))


def test_what_is_not_trained_limits_a_ratio(tmp_path):
    model, data = words()
    model.layers[0].trainable = False
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    message = r"a ratio of at most 1.057, .* all of \['embedding.*Received: ratio=4"
    with pytest.raises(ValueError, match=message):
        compressed(model, data, ratio=4, output=tmp_path / "o")
    assert not (tmp_path / "o").exists()


@slow
def test_a_loss_may_rise_by_a_share_of_itself():
    """A regression, by a loss and a metric that no file could say."""

    def error(y, p):
        return keras.ops.mean(keras.ops.square(y - p), axis=-1)

    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.03), error, metrics=[error])
    model.compile(keras.optimizers.Adam(0.03), error, jit_compile=False)
    model.fit(X, TARGETS, epochs=20, verbose=0)
    _, report = compressed(model, (X, TARGETS), max_drop=0.5, epochs=2)
    assert report.metric == "loss" and report.deployment.better == "min"
    tried = [stage for stage in report.stages if stage["metric"] is not None]
    assert tried
    for stage in tried:
        assert stage["meets"] == (stage["metric"] <= 1.5 * report.dense)


def two_inputs():
    a, b = keras.Input((8,), name="a"), keras.Input((8, 8, 1), name="b")
    y = keras.layers.Conv2D(12, 3, activation="relu")(b)
    y = keras.layers.Conv2D(12, 3, activation="relu")(y)
    y = keras.layers.GlobalAveragePooling2D()(y)
    y = keras.layers.Concatenate()([keras.layers.Dense(12, "relu")(a), y])
    model = keras.Model([a, b], keras.layers.Dense(1)(y))
    model.compile("adam", "mse", metrics=["mae"], jit_compile=False)
    return model


@slow
def test_half_of_the_multiplications_of_two_inputs():
    model, n = two_inputs(), 64
    x = {"a": RNG.normal(size=(n, 8)), "b": RNG.normal(size=(n, 8, 8, 1))}
    data = ({k: v.astype("float32") for k, v in x.items()}, np.ones((n, 1), "float32"))
    small, report = compressed(model, data, macs=0.5)
    # 36 places of the first convolution, 16 of the second, and three dense kernels.
    macs = 36 * 9 * 12 + 16 * 9 * 144 + 8 * 12 + 24
    assert report.deployment.variants[0].macs == macs
    assert all(v.macs <= 0.5 * macs for v in report.deployment.variants[2:])
    assert small.count_params() < model.count_params()
    left = report.deployment.variants[-1].macs
    assert report.share == left / macs <= 0.5 and len(report.stages) == 1


@slow
@pytest.mark.parametrize("goal", [{"ratio": 4.0}, {"bytes": 2500}])
def test_a_size_is_met(trained, goal):
    small, report = compressed(trained, **goal, epochs=2)
    dense, *others = report.deployment.variants
    if "ratio" in goal:
        assert zeros(small)[1] - zeros(small)[0] <= 480 // 4
    else:
        assert report.chosen.bytes <= 2500 < dense.bytes
    assert report.share < 1.0


@slow
def test_a_speed_is_met():
    model = keras.Sequential(
        [keras.Input((24, 24, 8))]
        + [keras.layers.Conv2D(64, 3, activation="relu") for _ in range(3)]
        + [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    )
    model.compile("adam", "mse", jit_compile=False)
    x, y = RNG.normal(size=(64, 24, 24, 8)).astype("float32"), np.zeros((64, 2))
    _, report = compressed(model, (x, y), speed=2.0, epochs=2)
    assert report.chosen.speedup >= 2.0


@slow
def test_nothing_is_tried_that_takes_longer_than_there_is(trained):
    model = trained
    small, report = compressed(model, time_limit=1e-6)
    assert report.share == 1.0 and not report.stages
    assert "Nothing was pruned (max_drop=0.005): no smaller" in report.headline
    assert "pruned" not in report.headline.split("(", 1)[1]
    names = [v.name for v in report.deployment.variants]
    assert names == ["dense float32", "dense float16", "dense int8"]
    assert np.array_equal(small.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize(
    "seconds, epochs",
    # Of 10 s each, 30 at most: by sixths, then the fewest, then what fits.
    [(1e6, 30), (600.0, 10), (100.0, 4), (45.0, 3), (30.0, 2), (0.001, 2)],
)
def test_epochs_that_fit_the_time_limit(seconds, epochs):
    assert pace.fitting(30, 10.0, seconds) == epochs


@slow
def test_stages_are_as_short_as_the_time_limit(trained, capsys):
    before = [np.array(w) for w in trained.weights]
    _, report = compressed(trained, epochs=None, time_limit=0.3, verbose=1)
    assert report.stages
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(r"stages have \d+ epochs, and not 60, to fit the time", printed)
    assert all(map(np.array_equal, before, map(np.array, trained.weights)))


@slow
def test_where_time_is_short_weights_alone_are_pruned(trained, capsys):
    _, report = compressed(trained, epochs=None, time_limit=0.01, verbose=1)
    assert {stage["noun"] for stage in report.stages} <= {"weights"}
    printed = " ".join(capsys.readouterr().out.split())
    assert "single weights alone are pruned" in printed


# Runs that are stopped.


def test_a_run_of_the_same_weights_is_the_same_run():
    """Keras draws the seeds of Dropout as a model is loaded."""
    data = batches.of((X, LABELS), None, None, None, 0)
    keys = set()
    model = classifier(dropout=0.2)
    for seed in (1, 2):
        seeds.sow(model, seed)
        keys.add(runs.fingerprint(model, data))
    assert len(keys) == 1
    model.layers[0].kernel.assign(2 * model.layers[0].kernel)
    assert runs.fingerprint(model, data) not in keys


SCRIPT = """
import signal, sys, test_compression as t
signal.signal(signal.SIGINT, signal.default_int_handler)
model = t.classifier(dropout=0.2)
small, report = t.compressed(model, max_drop=0.1, epochs=4, output=sys.argv[1])
"""


def run(folder):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        cwd=pathlib.Path(__file__).parent,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder):
    with run(folder) as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)


def result(folder):
    record = json.loads((folder / "result.json").read_text())
    model = keras.saving.load_model(folder / "model.keras")
    stages = [(s["share"], s["metric"], s["meets"]) for s in record["stages"]]
    return stages, record["chosen"], model.get_weights()


@slow
@pytest.mark.parametrize("at", [".run/stage_0/best.json", ".run/stage_2/until_3"])
def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path, at):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    finish(whole)
    with run(cut) as process:
        wait_for(cut / at, process)
        process.kill()
    assert not (cut / "result.json").exists()
    finish(cut)
    (*expected, weights), (*found, others) = result(whole), result(cut)
    assert found == expected
    for a, b in zip(weights, others, strict=True):
        assert np.array_equal(a, b)


@slow
def test_an_interrupt_leaves_the_best_so_far(tmp_path):
    with run(tmp_path) as process:
        wait_for(tmp_path / ".run" / "stage_1", process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode != 0 and "KeyboardInterrupt" in errors
    best = keras.saving.load_model(tmp_path / "model.keras")
    stage, *_ = json.loads((tmp_path / ".run" / "state.json").read_text())["stages"]
    assert stage["meets"] and stage["noun"] == "multiplications"
    assert zeros(best)[1] <= stage["share"] * 480


# Wrong arguments.


@pytest.mark.parametrize(
    "kwargs, error, message",
    [
        ({"max_drop": 0.1, "ratio": 2}, ValueError, "one of `max_drop`, `ratio`"),
        ({"max_drop": -0.1}, ValueError, "0.0 or more"),
        ({"max_drop": "0.1"}, TypeError, "`max_drop` to be a number"),
        ({"ratio": 0.5}, ValueError, "1.0 or more, weights"),
        ({"speed": float("nan")}, ValueError, "times as fast"),
        ({"macs": 0}, ValueError, "a positive number, of multiplications"),
        ({"bytes": -1}, ValueError, "a positive number, of the file"),
        ({"structure": "blocks"}, ValueError, "`structure`"),
        ({"structure": "both", "ratio": 2}, ValueError, "Expected `max_drop`"),
        ({"structure": "weights", "speed": 2}, ValueError, "'channels' with speed=2"),
        ({"structure": "channels", "ratio": 2}, ValueError, "Expected `macs`"),
        ({"epochs": 1}, ValueError, "at least 2 `epochs`"),
        ({"epochs": 2.5}, TypeError, "`epochs` to be an integer"),
        ({"batch_size": 0}, ValueError, "`batch_size` to be positive"),
        ({"time_limit": 1, "ratio": 2}, ValueError, "`time_limit` with `max_drop`"),
        ({"metric": "f1"}, ValueError, "one that the model is compiled with"),
        ({"mode": "up"}, ValueError, "Invalid value for argument `mode`"),
        ({"seed": -1}, ValueError, "`seed` to be an integer"),
        ({"seed": "x"}, ValueError, "`seed` to be an integer"),
        ({"output": 5}, TypeError, "`output` to be a path"),
        ({"data": None}, TypeError, "`data` to be a tuple of arrays"),
        ({"data": X}, TypeError, "a tuple of arrays"),
        ({"data": (X, LABELS[:9])}, ValueError, "as many rows"),
        ({"data": (X[:, :5], LABELS)}, ValueError, "Keras can evaluate the model"),
        ({"data": (X, np.full(400, 7))}, ValueError, "Keras can evaluate|a number"),
        ({"data": (X[:4], LABELS[:4])}, ValueError, "enough rows"),
        ({"validation_data": X}, TypeError, "`validation_data` to be a tuple"),
        ({"test_data": X}, TypeError, "`test_data` to be a tuple"),
        (
            {"ratio": 1e6},
            ValueError,
            "a ratio of at most 240.*Received: ratio=1e\\+06",
        ),
        ({"macs": 1e-3}, ValueError, "the nearest is macs="),
        pytest.param(
            {"bytes": 10}, ValueError, "Expected a goal that can be met", marks=slow
        ),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
def test_bad_input_is_one_error_and_leaves_nothing(
    trained, kwargs, error, message, tmp_path
):
    model = trained
    with pytest.raises(error, match=message):
        compressed(model, **{"data": (X, LABELS), "output": tmp_path / "o"} | kwargs)
    assert list(tmp_path.iterdir()) == []


# The learning rate.


def decayed(steps, **kwargs):
    """A classifier after so many steps of a schedule that ends after ten at 0.0."""
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 10, **kwargs)
    model = classifier()
    adam, options = keras.optimizers.Adam(schedule), {"jit_compile": False}
    model.compile(adam, model.loss, metrics=["accuracy"], **options)
    model.fit(X[:steps], LABELS[:steps], batch_size=1, verbose=0)
    return model


@pytest.mark.parametrize(
    "make, rate",
    [
        (lambda: decayed(20), 0.01),
        (lambda: decayed(20, warmup_target=0.02, warmup_steps=4), 0.02),
        (lambda: decayed(1), 0.01),
        (classifier, 0.01),
    ],
    ids=["ended", "warmed up", "begun", "no schedule"],
)
def test_training_begins_at_the_highest_rate_that_there_was(make, rate):
    model = make()
    assert rates.first(model.optimizer) == pytest.approx(rate, rel=0.02)


@slow
def test_after_a_schedule_that_has_ended_there_is_training():
    model = decayed(20)
    small, _ = compressed(model, ratio=2.0, epochs=2)
    before, after = (np.array(m.layers[1].bias) for m in (model, small))
    assert (before != after).all()


@pytest.mark.parametrize("goal", [{"max_drop": 0.1}, {"ratio": 2.0}, {"macs": 0.5}])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_model_of_which_no_kernel_is_trained_is_refused(frozen, goal):
    layer = keras.layers.Dense(12) if frozen else keras.layers.BatchNormalization()
    norm = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((12,)), layer, norm])
    layer.trainable = not frozen
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="kernels that are trained"):
        compressed(model, (X, X), **goal)


def test_a_rate_of_zero_is_refused():
    model = classifier()
    model.optimizer.learning_rate = 0.0
    with pytest.raises(ValueError, match="learning rate above 0.0.*Adam with 0.0"):
        compressed(model)
    admm = tf_admm.ADMMModel(decayed(20), sparsity=0.5)
    admm.compile(admm.model.optimizer, admm.model.loss)
    with pytest.raises(ValueError, match="rate is 0.0 after 20 steps"):
        admm.fit(X, LABELS, verbose=0, callbacks=[tf_admm.ADMMCallback(1)])


def test_few_rows_to_judge_by_are_told(capsys):
    data = X, np.where(X[:, 3] > 1, 0, LABELS)
    compressed(classifier(), data, max_drop=0.001, epochs=2, time_limit=1e-6, verbose=1)
    printed = " ".join(capsys.readouterr().out.split())
    assert "standard error of" in printed and "more than max_drop=0.001" in printed
