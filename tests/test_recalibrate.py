"""Statistics of batch normalisation, beside NumPy's means and variances."""

import keras
import numpy as np
import pytest
from keras import layers as L

import tf_admm
from tf_admm.structure import statistics

SLOW = 0.999
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(2.0, 3.0, size=(100, 6, 6, 3)).astype("float32")


def convnet(**kwargs):
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            L.BatchNormalization(momentum=SLOW, **kwargs),
            L.ReLU(),
            L.Conv2D(5, 3),
        ]
    )
    stack = [L.Conv2D(4, 3, padding="same"), inner, L.BatchNormalization(momentum=SLOW)]
    return keras.Sequential([keras.Input((6, 6, 3)), *stack])


def averages(x, size):
    """Mean over the batches, by their rows, of the moments of each."""
    parts = [x[start : start + size] for start in range(0, len(x), size)]
    axes = tuple(range(x.ndim - 1))
    rows = [len(part) for part in parts]
    return [
        np.average([moment(part, axis=axes) for part in parts], axis=0, weights=rows)
        for moment in (np.mean, np.var)
    ]


def norms(model):
    return statistics.layers(model)


@pytest.mark.parametrize("size", [1000, 50, 30])
def test_they_are_those_of_the_batches(size):
    model = convnet()
    tf_admm.recalibrate(model, IMAGES, batch_size=size)
    first, last = norms(model)
    x = keras.ops.convert_to_numpy(model.layers[0](IMAGES))
    mean, variance = averages(x, size)
    np.testing.assert_allclose(first.moving_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first.moving_variance, variance, rtol=1e-4)
    # What comes after is normalised by the batch, as in training.
    batches = [x[start : start + size] for start in range(0, len(x), size)]
    normal = [
        (b - b.mean((0, 1, 2))) / np.sqrt(b.var((0, 1, 2)) + first.epsilon)
        for b in batches
    ]
    conv = model.layers[1].layers[-1]
    y = keras.ops.convert_to_numpy(conv(np.maximum(np.concatenate(normal), 0)))
    np.testing.assert_allclose(
        last.moving_mean, averages(y, size)[0], rtol=1e-4, atol=1e-5
    )
    assert first.momentum == last.momentum == SLOW


def test_all_else_stays():
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    frozen = L.BatchNormalization(trainable=False)
    x = L.Dropout(0.5, seed=1)(L.BatchNormalization()(inputs["a"]))
    x = L.SpectralNormalization(L.Dense(4))(L.Add()([x, frozen(inputs["b"])]))
    model = keras.Model(inputs, x)
    model.compile("adam", "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    before = {v.path: np.array(v) for v in model.variables}
    data = {name: RNG.normal(size=(40, 4)).astype("float32") for name in "ab"}
    tf_admm.recalibrate(model, data)
    changed = [v.name for v in model.variables if (before[v.path] != np.array(v)).any()]
    assert changed == ["moving_mean", "moving_variance"]
    assert int(model.optimizer.iterations) == 0


def test_what_is_cut_at_once_is_normalised_again():
    """A network that is cut without training."""
    keras.utils.set_random_seed(0)
    x = RNG.normal(2.0, size=(512, 16)).astype("float32")
    y = np.argmax((x - 2.0) @ RNG.normal(size=(16, 4)), axis=1)
    stack = [L.Dense(64, use_bias=False), L.BatchNormalization(), L.ReLU(), L.Dense(4)]
    model = keras.Sequential([keras.Input((16,)), *stack])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(x, y, epochs=30, verbose=0)
    admm = tf_admm.ADMMModel(model, tf_admm.constraints.Sparsity(0.7))
    admm.finalize()
    cut = model.evaluate(x, y, verbose=0)
    tf_admm.recalibrate(model, x)
    assert model.evaluate(x, y, verbose=0) < 0.8 * cut


@pytest.mark.parametrize(
    "samples, options, message",
    [
        (IMAGES[..., :2], {}, "Expected `samples` that the model"),
        (np.full_like(IMAGES, np.nan), {}, "finite"),
        ([IMAGES, IMAGES], {}, "an array for each input"),
        (IMAGES, {"batch_size": 0}, "`batch_size`.*positive int.*batch_size=0"),
        (IMAGES, {"batch_size": 2.5}, "`batch_size`.*positive int"),
    ],
)
def test_bad_input_changes_nothing(samples, options, message):
    model = convnet()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        tf_admm.recalibrate(model, samples, **options)
    for w, old in zip(model.get_weights(), before):
        np.testing.assert_array_equal(w, old)
    assert {layer.momentum for layer in norms(model)} == {SLOW}


def test_a_model_without_any():
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    before = model.get_weights()
    tf_admm.recalibrate(model, np.ones((3, 4)))
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize("steps, momentum", [(1, 0.9), (100, 0.955), (10**5, SLOW)])
def test_statistics_follow_within_an_epoch(steps, momentum):
    model = convnet()
    with statistics.following(model, steps):
        assert norms(model)[0].momentum == pytest.approx(momentum, abs=1e-3)
        assert steps == 1 or norms(model)[0].momentum ** steps <= 0.011
    assert {layer.momentum for layer in norms(model)} == {SLOW}


class AsInInference(L.BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=False, mask=mask)


@pytest.mark.filterwarnings("error:The statistics of")
@pytest.mark.parametrize(
    "kind, momentum, warns",
    [(L.BatchNormalization, SLOW, True), (L.BatchNormalization, 0.9, False)]
    + [(AsInInference, SLOW, False)],
)
def test_statistics_that_do_not_follow_are_told(kind, momentum, warns):
    """And those that stay where they are, are not."""
    x, y = IMAGES.reshape(100, -1), RNG.normal(size=(100, 1))
    stack = [L.Dense(4), kind(momentum=momentum), L.Dense(1)]
    model = keras.Sequential([keras.Input((108,)), *stack])
    admm = tf_admm.ADMMModel(model, sparsity=0.5)
    admm.compile("adam", "mse", jit_compile=False)
    how = {"epochs": 3, "batch_size": 8, "verbose": 0}
    how["callbacks"] = [tf_admm.ADMMCallback()]
    if not warns:
        admm.fit(x, y, **how)
        return
    message = (
        "1 `Batch.*momentum=0.999, 96%.*39 steps.*`momentum=0.9`.*"
        r"tf_admm\.recalibrate\(model, x\)"
    )
    with pytest.warns(UserWarning, match=message):
        admm.fit(x, y, **how)


def test_compress_judges_by_statistics_of_the_weights_as_they_are():
    """Few steps, and a momentum for thousands."""
    keras.utils.set_random_seed(0)
    x = RNG.normal(5.0, size=(600, 12)).astype("float32")
    y = np.argmax(x[:, :3] + 0.3 * x[:, 3:6], axis=1)
    stack = [L.Dense(32, use_bias=False), L.BatchNormalization(), L.ReLU()]
    stack += [L.Dense(32, use_bias=False), L.BatchNormalization(), L.ReLU()]
    model = keras.Sequential([keras.Input((12,)), *stack, L.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], jit_compile=False
    )
    model.fit(x, y, epochs=20, verbose=0)
    tf_admm.recalibrate(model, x)
    for layer in norms(model):
        layer.momentum = SLOW
    small, report = tf_admm.compress(model, (x, y), ratio=4.0, epochs=6, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.9
    small.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
    assert small.evaluate(x, y, verbose=0)[1] > 0.85
    assert {layer.momentum for layer in norms(small)} == {SLOW}
