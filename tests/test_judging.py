"""What the report measures on data: beside Keras, for models of every kind."""

import os
import tempfile

import keras
import numpy as np
import pytest
from keras import ops
from sweeps import few

import models
import tf_admm
from tf_admm.export import to_tflite
from tf_admm.export.tflite.signature import Signature
from tf_admm.reporting import given
from tf_admm.reporting import judging
from tf_admm.reporting import variants
from tf_admm.reporting.judging import accuracy
from tf_admm.reporting.running import Runner

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype("float32")
Y = (X[:, :1] - 0.3 * X[:, 1:2]).astype("float32")


def regression(**compiled):
    x = L.Input((4,))
    model = keras.Model(x, L.Dense(1)(L.Dense(8, "relu")(x)))
    if compiled:
        model.compile("adam", **compiled)
    return model


def mean_error(y, outputs):
    return np.mean(np.abs(y - outputs))


def measured(model, data, metric=None):
    """The name of the metric, and its value for a file of the model."""
    judge, samples, row = given.checked(model, data, metric, None, None)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.tflite")
        to_tflite(model, path, sparse=False, samples=samples)
        runner = Runner(path, Signature(model))
        runner.set(row)
        assert runner.seconds() > 0
        return judge.name, judge.value(runner.answers(judge.outputs))


def test_a_metric_that_is_given_has_seen_nothing():
    metric = keras.metrics.MeanAbsoluteError()
    metric.update_state([0.0], [9.0])
    model = regression()
    _, value = measured(model, (X, Y), metric=metric)
    assert value == pytest.approx(expected_error(model), rel=1e-5)
    assert float(metric.result()) == 9.0


def expected_error(model):
    return np.abs(model(X) - Y).mean()


METRICS = {
    "compiled": (
        {"loss": "mse", "metrics": ["mae", "mse"]},
        None,
        "mae",
    ),
    "an object": ({"loss": "mse"}, keras.metrics.MeanAbsoluteError("off"), "off"),
    "a name": ({}, "mean_absolute_error", "mean_absolute_error"),
    "a list": ({}, ["mae", "mse"], "mae"),
    "a function": ({}, mean_error, "mean_error"),
    "a loss": ({"loss": "mae"}, None, "loss"),
    "a function of one's own": (
        {"loss": lambda y, p: ops.mean(ops.abs(y - p))},
        None,
        "loss",
    ),
}


@pytest.mark.parametrize("name", few(METRICS, "compiled", "an object", "a function"))
def test_metrics_of_a_regression(name):
    compiled, metric, title = METRICS[name]
    model = regression(**compiled)
    found, value = measured(model, (X, Y), metric)
    assert found == title
    assert value == pytest.approx(expected_error(model), rel=1e-5)


def batches(size):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(size)


class Chunks(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return X[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8]


@pytest.mark.parametrize("data", [lambda: batches(7), Chunks], ids=["tf.data", "py"])
@pytest.mark.parametrize(
    "metric", ["mae", pytest.param(mean_error, marks=pytest.mark.slow)]
)
def test_datasets(data, metric):
    model = regression()
    _, value = measured(model, data(), metric)
    assert value == pytest.approx(expected_error(model), rel=1e-5)


def test_weights_of_rows():
    import tensorflow as tf

    weights = np.arange(24.0)
    model = regression()
    model.compile(loss="mae")
    expected = (np.abs(model(X) - Y)[:, 0] * weights).sum() / 24
    for data in (
        (X, Y, weights),
        tf.data.Dataset.from_tensor_slices((X, Y, weights)).batch(24),
    ):
        _, value = measured(model, data)
        assert value == pytest.approx(expected, rel=1e-5)


def test_the_model_is_left_as_it_was():
    model = regression(loss="mse", metrics=["mae"])
    before = model.evaluate(X, Y, verbose=0)
    function = model.test_function
    measured(model, (X[:8], Y[:8]))
    assert model.test_function is function and not model.run_eagerly
    assert "call" not in vars(model)
    assert model.evaluate(X, Y, verbose=0) == before


def size_error(y, outputs):
    return np.mean(np.abs(y["size"] - outputs["size"]))


@pytest.mark.parametrize(
    "metric, title, part",
    [
        (None, "kind_accuracy", "kind_accuracy"),
        ({"size": "mae"}, "size_mae", "size_mae"),
        (size_error, "size_error", "size_mae"),
    ],
)
def test_several_inputs_and_outputs(metric, title, part):
    task = models.several()
    task.model.compile("adam", **task.compile_args())
    expected = task.model.evaluate(task.x, task.y, verbose=0, return_dict=True)
    found, value = measured(task.model, (task.x, task.y), metric)
    assert found == title
    assert value == pytest.approx(expected[part], rel=1e-5)


def test_lists_and_names_that_are_not_in_order():
    """Inputs and outputs of one shape: mixed up, they would still run."""
    b, a = L.Input((4,), name="b"), L.Input((4,), name="a")
    first, second = L.Dense(1, name="z")(b), L.Dense(1, name="y")(a)
    model = keras.Model([b, a], [first, second])
    inputs, labels = [X, -2 * X], [Y, 3 * Y]
    model.compile(loss=["mae", "mse"], metrics=[["mse"], ["mae"]])
    expected = np.square(model(inputs)[0] - Y).mean()
    for data in ((inputs, labels), ({"a": -2 * X, "b": X}, labels)):
        found, value = measured(model, data)
        assert found == "z_mse"
        assert value == pytest.approx(expected, rel=1e-5)


# Models of open sizes.


def tokens(mixer):
    """What text models are made of: two dicts of integers, of any length."""
    keys = ("token_ids", "padding_mask")
    inputs = {key: L.Input((None,), dtype="int32", name=key) for key in keys}
    h = L.Embedding(30, 8)(inputs["token_ids"])
    h = mixer(h, inputs["padding_mask"])
    weights = ops.expand_dims(ops.cast(inputs["padding_mask"], "float32"), -1)
    pooled = ops.sum(h * weights, axis=1) / ops.sum(weights, axis=1)
    return keras.Model(inputs, L.Dense(3)(pooled))


def attending(h, mask):
    mask = ops.expand_dims(ops.cast(mask, "bool"), 1)
    h = L.Add()([h, L.MultiHeadAttention(2, 4)(h, h, attention_mask=mask)])
    return L.LayerNormalization()(h)


def recurrent(h, mask):
    return L.GRU(8, return_sequences=True)(h)


IDS = RNG.integers(0, 30, (24, 7)).astype("int32")
MASK = np.repeat([[1] * 7, [1] * 4 + [0] * 3], 12, axis=0).astype("int32")
TOKENS = {"token_ids": IDS, "padding_mask": MASK}
CLASSES = RNG.integers(0, 3, 24)


@pytest.mark.parametrize(
    "mixer", [attending, pytest.param(recurrent, marks=pytest.mark.slow)]
)
def test_token_models(mixer):
    model = tokens(mixer)
    found, value = measured(model, (TOKENS, CLASSES))
    assert found == "accuracy"
    scores = np.array(model(TOKENS))
    assert value == pytest.approx(np.mean(scores.argmax(-1) == CLASSES))


@pytest.mark.slow
def test_report_of_a_token_model(capsys):
    model = tokens(attending)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["mae"])
    one_hot = np.eye(3)[CLASSES]
    report = tf_admm.report(model, (TOKENS, one_hot), TOKENS, metric="mae")
    expected = np.abs(np.array(model(TOKENS)) - one_hot).mean()
    assert report.metric == "mae" and "mae" in report.heads
    for variant, row in zip(report.variants, report.rows(), strict=True):
        tolerance = 0.1 if "int8" in variant.name else 1e-3
        assert variant.metric == pytest.approx(expected, rel=tolerance), variant.name
        assert f"{variant.metric:.4f}" in row
        assert variant.macs == 7 * 4 * 64 + 24 and variant.milliseconds > 0
    printed = capsys.readouterr().out
    assert "mae" in printed and "accuracy" not in printed


def test_sizes_are_those_of_the_samples():
    model = tokens(attending)
    for length in (7, 4):
        samples = {key: x[:2, :length] for key, x in TOKENS.items()}
        judge, found, row = given.checked(model, None, None, samples, None)
        assert judge is None and {x.shape for x in row} == {(1, length)}
        # 4 projections of 8 x 8 at each place, and the head.
        assert variants.macs(model, found, zeros=True) == length * 4 * 64 + 24


def resolution():
    x = L.Input((None, None, 1))
    h = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    return keras.Model(x, L.Conv2D(1, 3, padding="same")(h))


def test_sizes_that_change_from_batch_to_batch():
    import tensorflow as tf

    def images():
        for size in (6, 9, 6):
            image = np.random.default_rng(size).normal(size=(2, size, size + 1, 1))
            yield image.astype("float32"), 2 * image.astype("float32")

    spec = tf.TensorSpec((2, None, None, 1))
    data = tf.data.Dataset.from_generator(images, output_signature=(spec, spec))
    model = resolution()
    model.compile(loss="mse", metrics=["mae"])
    errors = [np.abs(model(x) - y).mean() for x, y in images()]
    _, value = measured(model, data)
    # Keras means batches by their first axis.
    assert value == pytest.approx(np.mean(errors), rel=1e-5)


def test_a_fixed_batch():
    model = keras.Sequential([L.Input(batch_shape=(2, 4)), L.Dense(1)])
    _, value = measured(model, (X, Y), metric="mae")
    expected = np.mean(
        [np.abs(model(X[i : i + 2]) - Y[i : i + 2]) for i in range(0, 24, 2)]
    )
    assert value == pytest.approx(expected, rel=1e-5)


def test_states_start_afresh():
    rows = RNG.normal(size=(6, 3, 4)).astype("float32")
    model = keras.Sequential(
        [L.Input(batch_shape=(1, 3, 4)), L.LSTM(5, stateful=True), L.Dense(1)]
    )
    expected = np.mean([np.abs(model(row[None]) - 1.0) for row in rows])
    _, value = measured(model, (rows, np.ones((6, 1))), "mae")
    assert value == pytest.approx(expected, rel=1e-5)


# Bad input.


def image_model():
    return keras.Sequential([L.Input((4,)), L.Dense(3)])


BAD = [
    ((X, np.eye(3)[CLASSES]), {}, "one label a row.*shape \\(24, 3\\)"),
    ((X, CLASSES[:16]), {}, "cardinality"),
    ((X[:, 1:], CLASSES), {}, "incompatible|expected shape"),
    ((X, CLASSES + 1), {}, "labels from 0 to 2. Received: labels from 1 to 3"),
    ((X, CLASSES + 0.5), {}, "labels that are numbers of classes"),
    (({"image": X}, CLASSES), {}, "Keras can evaluate"),
    ((X,), {}, "a pair of arrays.*Received: 1"),
    ((X[:0], CLASSES[:0]), {}, "Keras can evaluate|with rows"),
    (iter([(X, CLASSES)]), {}, "gone through more than once.*iterator"),
    ((X, CLASSES), {"metric": "acuracy"}, "interpret metric identifier: acuracy"),
    ((X, CLASSES), {"metric": {"no": "mae"}}, "Keras can evaluate"),
    ((X, CLASSES), {"metric": lambda y, p: p[0]}, "Keras can evaluate"),
    ((X, CLASSES), {"samples": X[:, 1:]}, "`samples` to be arrays of the shapes"),
    (None, {"metric": "mae"}, "`data` to measure `metric` on"),
]


@pytest.mark.parametrize("data, options, message", BAD)
def test_bad_values(data, options, message, capsys):
    with pytest.raises(ValueError, match=message):
        tf_admm.report(image_model(), data, **options)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "data, options, message",
    [
        (X, {}, "a pair of arrays.*Received: data of type"),
        ("x", {}, "a pair of arrays"),
        (3, {}, "a pair of arrays"),
        ((X, CLASSES), {"metric": 3}, "`metric` to be the name.*Received: metric=3"),
    ],
)
def test_wrong_kinds(data, options, message):
    with pytest.raises(TypeError, match=message):
        tf_admm.report(image_model(), data, **options)


def test_several_outputs_need_a_metric():
    task = models.several()
    with pytest.raises(ValueError, match="several outputs, needs a `metric`"):
        tf_admm.report(task.model, (task.x, task.y))


@pytest.mark.parametrize("build", [lambda: tokens(attending), resolution])
def test_sizes_must_be_known(build):
    with pytest.raises(ValueError, match="Expected `samples`, or `data`, to say the s"):
        tf_admm.report(build())


def test_accuracy_by_hand():
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert accuracy(np.array([[1], [1], [1]]), scores) == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", ["dict", "list"])
@pytest.mark.parametrize("order", [("cls", "bright"), ("bright", "cls")])
def test_the_first_metric_of_outputs_is_that_of_compile(kind, order):
    inputs = keras.Input((4,))
    heads = {
        "cls": keras.layers.Dense(3, name="cls")(inputs),
        "bright": keras.layers.Dense(1, name="bright")(inputs),
    }
    outputs = heads if kind == "dict" else list(heads.values())
    model = keras.Model(inputs, outputs)
    losses = {"cls": "sparse_categorical_crossentropy", "bright": "mse"}
    metrics = {"cls": ["accuracy"], "bright": ["mae"]}
    model.compile("sgd", losses, metrics={name: metrics[name] for name in order})
    y = {"cls": np.zeros(8, int), "bright": np.zeros(8)}
    y = y if kind == "dict" else list(y.values())
    logs = model.evaluate(np.ones((8, 4)), y, verbose=0, return_dict=True)
    name, value = judging.first(model, logs)
    assert name == f"{order[0]}_{metrics[order[0]][0]}" and value == logs[name]
