"""Channels that live and die together, and models without those that are dead."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops
from sweeps import few

import tf_admm

IMAGE, WORDS, TABLE = (9, 9, 3), (7, 5), (6,)


def conv(name, filters=8, size=3, **kwargs):
    kwargs = {"padding": "same"} | kwargs
    return layers.Conv2D(filters, size, name=name, **kwargs)


def dense(name, units=8, **kwargs):
    return layers.Dense(units, name=name, **kwargs)


# What stands between a layer that makes 8 channels and one that reads them.


def hard_swish(x):
    return x * ops.relu6(x + 3.0) / 6.0


def squeeze_and_excite(x):
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = conv("squeeze", 4, 1, activation="relu")(s)
    s = conv("excite", 8, 1, activation="hard_sigmoid")(s)
    return layers.Multiply()([x, s])


def squeeze_by_dense(x):
    s = layers.GlobalAveragePooling2D()(x)
    s = dense("squeeze", 4, activation="relu")(s)
    s = layers.Reshape((1, 1, 8))(dense("excite", activation="sigmoid")(s))
    return x * s


def residual(x):
    y = layers.ReLU()(layers.BatchNormalization()(x))
    y = conv("inside", 6, activation="swish")(y)
    return layers.Add()([x, conv("back")(y)])


def joined(x):
    y = layers.Concatenate()([x, conv("more", 4)(x)])
    return layers.BatchNormalization()(y)


def nested(x):
    inputs = keras.Input(x.shape[1:])
    y = layers.BatchNormalization()(conv("inner")(inputs))
    return keras.Model(inputs, layers.Activation("silu")(y), name="nested")(x)


def in_sequence(x):
    inner = keras.Sequential([keras.Input(x.shape[1:]), conv("inner"), layers.ReLU()])
    return inner(x)


def shared(x):
    again = conv("again", 8)
    return again(layers.ReLU()(again(x)))


def grouped(x):
    return conv("in_groups", 12, groups=4, activation="relu")(x)


def constants(x):
    return ops.maximum(x * np.linspace(0.5, 2, 8).astype("float32"), -0.1) + 0.0


def by_place(x):
    """What is added differs from place to place: no constant for a bias."""
    places = np.random.default_rng(0).normal(size=(9, 9, 8)).astype("float32")
    return layers.Conv2D(8, 3, name="next")(x + places * (np.arange(8) > 3))


def resized(x):
    return ops.max_pool(ops.flip(layers.Resizing(12, 6)(x), axis=1), 2)


def over_places(x):
    return x - ops.mean(x, axis=(1, 2), keepdims=True)


def reshaped(x):
    x = layers.Reshape((81, 8))(x)
    return ops.reshape(ops.transpose(x, (0, 1, 2)), (-1, 9, 9, 8))


def cut_out(x):
    return ops.expand_dims(x[:, 1:, 2], 1)


def some_channels(x):
    return layers.Concatenate()([x[..., 4:] * 2.0, ops.relu(x[:, :, :, :4])])


def in_two(x):
    first, second = ops.split(x, 2, axis=-1)
    return first * ops.sigmoid(second)


def in_rows(x):
    first, second = ops.split(x, [4], axis=1)
    return first[:, :4] + second[:, 1:]


def depthwise_norm(x):
    x = layers.DepthwiseConv2D(3, padding="same", name="dw")(x)
    return layers.LayerNormalization(epsilon=1e-6)(x)


def scaled(x):
    from keras.src.applications.convnext import LayerScale

    return x + LayerScale(0.3, 8, name="scale")(conv("project")(x))


@keras.saving.register_keras_serializable(package="tf_admm_tests")
class HardSwish(layers.Layer):
    """A layer of one's own, of operations only."""

    def call(self, x):
        return hard_swish(x)


@keras.saving.register_keras_serializable(package="tf_admm_tests")
class Block(layers.Layer):
    """A layer of one's own that holds layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = conv("first", 6), conv("second", 8)

    def call(self, x):
        return x + self.second(keras.activations.silu(self.first(x)))


@keras.saving.register_keras_serializable(package="tf_admm_tests")
class DropPath(layers.Layer):
    """Does nothing but in training, and returns what it was given."""

    def call(self, x, training=None):
        return x * 0.5 if training else x


@keras.saving.register_keras_serializable(package="tf_admm_tests")
class Positions(layers.Layer):
    """Adds rows of a table for positions that it counts itself."""

    def __init__(self, count=7, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.table = layers.Embedding(count, 8, name="table")
        self.project = dense("project")

    def call(self, x):
        return self.project(x) + self.table(ops.arange(self.count))

    def get_config(self):
        return {**super().get_config(), "count": self.count}


def attention_over_places(x):
    planes = [f(x, axis=-1, keepdims=True) for f in (ops.mean, ops.max, ops.sum)]
    return x * conv("planes", 1, activation="sigmoid")(layers.Concatenate()(planes))


#: Name: what stands between, and the sizes of the groups, by hand, without the head's.
IMAGES = {
    "same_batch_norm_swish": (
        lambda x: layers.Activation("swish")(layers.BatchNormalization()(x)),
        {"a": 8, "b": 8},
    ),
    "gelu": (lambda x: layers.Activation("gelu")(x), {"a": 8, "b": 8}),
    "no_scale": (
        lambda x: layers.BatchNormalization(scale=False)(x), {"a": 8, "b": 8}
    ),
    "hard_swish": (hard_swish, {"a": 8, "b": 8}),
    "own_activation": (HardSwish(), {"a": 8, "b": 8}),
    "lambda_activation": (
        lambda x: layers.Activation(lambda v: ops.tanh(v) * v)(x), {"a": 8, "b": 8}
    ),
    "squeeze_and_excite": (squeeze_and_excite, {"a": 8, "squeeze": 4, "b": 8}),
    "squeeze_by_dense": (squeeze_by_dense, {"a": 8, "squeeze": 4, "b": 8}),
    "residual": (residual, {"a": 8, "inside": 6, "b": 8}),
    "joined": (joined, {"a": 8, "more": 4, "b": 8}),
    "nested": (nested, {"a": 8, "nested/inner": 8, "b": 8}),
    "in_sequence": (in_sequence, {"a": 8, "sequential/inner": 8, "b": 8}),
    "shared": (shared, {"a": 8, "b": 8}),
    "grouped": (grouped, {"a": 4, "b": 8}),
    "constants": (constants, {"a": 8, "b": 8}),
    "resized": (resized, {"a": 8, "b": 8}),
    "over_places": (over_places, {"a": 8, "b": 8}),
    "reshaped": (reshaped, {"a": 8, "b": 8}),
    "cut_out": (cut_out, {"a": 8, "b": 8}),
    "some_channels": (some_channels, {"a": 8, "b": 8}),
    "in_two": (in_two, {"a": 4, "b": 8}),
    "in_rows": (in_rows, {"a": 8, "b": 8}),
    "depthwise_norm": (depthwise_norm, {"a": 8, "b": 8}),
    "group_norm": (lambda x: layers.GroupNormalization(4)(x), {"a": 8, "b": 8}),
    "rms_norm": (lambda x: layers.RMSNormalization()(x), {"a": 8, "b": 8}),
    "scaled": (scaled, {"a": 8, "b": 8}),
    "multiplier": (
        lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2, name="dw")(x),
        {"a": 8, "b": 8},
    ),
    "separable": (
        lambda x: layers.SeparableConv2D(6, 3, depth_multiplier=2, name="s")(x),
        {"a": 8, "s": 6, "b": 8},
    ),
    "transposed": (
        lambda x: layers.Conv2DTranspose(6, 3, 2, name="t")(x),
        {"a": 8, "t": 6, "b": 8},
    ),
    "padded": (
        lambda x: layers.MaxPooling2D()(layers.ZeroPadding2D()(x)), {"a": 8, "b": 8}
    ),
    "prelu": (
        lambda x: layers.PReLU(shared_axes=[1, 2])(x), {"a": 8, "b": 8}
    ),
    "dropout": (lambda x: layers.SpatialDropout2D(0.3)(x), {"a": 8, "b": 8}),
    "block": (Block(name="block"), {"a": 8, "block/first": 6, "b": 8}),
    "drop_path": (lambda x: x + DropPath()(conv("c")(x)), {"a": 8, "b": 8}),
    "over_channels": (attention_over_places, {"a": 8, "b": 8}),
    "attention": (
        lambda x: layers.MultiHeadAttention(4, 2, name="mha")(x, x),
        {"a": 8, "mha/query": 4, "mha/attention_output": 8, "b": 8},
    ),
    "einsum": (
        lambda x: layers.EinsumDense(
            "bhwc,cd->bhwd", (9, 9, 6), bias_axes="d", name="e"
        )(x),
        {"a": 8, "e": 6, "b": 8},
    ),
}  # fmt: skip


def image_model(between):
    inputs = keras.Input(IMAGE)
    x = conv("b")(between(conv("a")(inputs)))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(inputs, dense("head", 3)(x))


def attention(x):
    y = layers.MultiHeadAttention(4, 2, name="mha")(x, x)
    return layers.LayerNormalization()(x + y)


def cross(x):
    y = dense("other", 6)(x)
    return layers.MultiHeadAttention(4, 2, value_dim=3, name="mha")(x, y)


def written_out(x):
    q, k, v = (layers.Reshape((7, 2, 3))(dense(name, 6)(x)) for name in "qkv")
    return layers.Reshape((7, 6))(ops.dot_product_attention(q, k, v))


SEQUENCES = {
    "written_out": (written_out, {"a": 8, "v": 3, "b": 8}),
    "attention": (attention, {"a": 8, "mha/query": 4, "b": 8}),
    "stacked": (
        lambda x: ops.max(ops.stack([x, dense("c")(x)], axis=1), axis=1),
        {"a": 8, "b": 8},
    ),
    "cross": (
        cross,
        {"a": 8, "other": 6, "mha/query": 4, "mha/attention_output": 8, "b": 8},
    ),
    "lstm": (
        lambda x: layers.LSTM(6, return_sequences=True, name="r")(x),
        {"a": 8, "r/lstm_cell": 6, "b": 8},
    ),
    "gru": (
        lambda x: layers.GRU(6, return_sequences=True, name="r")(x),
        {"a": 8, "r/gru_cell": 6, "b": 8},
    ),
    "old_gru": (
        lambda x: layers.GRU(6, return_sequences=True, reset_after=False, name="r")(x),
        {"a": 8, "r/gru_cell": 6, "b": 8},
    ),
    "rnn": (
        lambda x: layers.SimpleRNN(6, return_sequences=True, name="r")(x),
        {"a": 8, "r/simple_rnn_cell": 6, "b": 8},
    ),
    "bidirectional": (
        lambda x: layers.Bidirectional(
            layers.GRU(6, return_sequences=True, name="r"), name="both"
        )(x),
        {"a": 8, "both/forward_r/gru_cell": 6, "b": 8},
    ),
    "timed": (
        lambda x: layers.TimeDistributed(dense("inner", 6), name="timed")(x),
        {"a": 8, "timed/inner": 6, "b": 8},
    ),
    "conv1d": (
        lambda x: layers.Conv1D(6, 3, padding="causal", name="c")(x),
        {"a": 8, "c": 6, "b": 8},
    ),
    "over_time": (
        lambda x: x * layers.Softmax(axis=1)(dense("weights", 1)(x)),
        {"a": 8, "b": 8},
    ),
    "by_products": (
        lambda x: layers.Attention(use_scale=True)([x, dense("values", 6)(x), x]),
        {"a": 8, "values": 6, "b": 8},
    ),
    "to_itself": (lambda x: layers.Attention()([x, x]), {"a": 8, "b": 8}),
    "pooled": (
        lambda x: layers.Dot(axes=1)([layers.Softmax(axis=1)(dense("w", 1)(x)), x]),
        {"a": 8, "b": 8},
    ),
    "unit_length": (lambda x: layers.UnitNormalization()(x), {"a": 8, "b": 8}),
    "own_positions": (
        lambda x: layers.LayerNormalization()(Positions(name="at")(x)),
        {"a": 8, "at/project": 8, "b": 8},
    ),
    "repeated": (
        lambda x: layers.RepeatVector(7)(layers.GlobalMaxPooling1D()(x)),
        {"a": 8, "b": 8},
    ),
}  # fmt: skip


def sequence_model(between, length=7):
    inputs = keras.Input((length, 5))
    x = dense("b")(between(dense("a")(inputs)))
    x = layers.GlobalAveragePooling1D()(layers.ReLU()(x))
    return keras.Model(inputs, dense("head", 3)(x))


def flat():
    """Flatten in front of dense layers, and spatial planes made from one."""
    inputs = keras.Input(IMAGE)
    x = layers.Flatten()(conv("a", strides=2)(inputs))
    x = layers.Reshape((4, 4, 6))(dense("b", 96, activation="relu")(x))
    return keras.Model(inputs, dense("head", 3)(layers.Flatten()(conv("c")(x))))


def tokens():
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(11, 8, mask_zero=True, name="words")(inputs)
    x = layers.LSTM(6, name="r")(layers.LayerNormalization()(x))
    return keras.Model(inputs, dense("head", 3)(x))


def super_resolution():
    inputs = keras.Input((None, None, 1))
    x = conv("a", activation="relu")(inputs)
    x = layers.UpSampling2D()(conv("b", 6, activation="relu")(x))
    return keras.Model(inputs, conv("head", 1)(x))


def likes():
    """A user's and a thing's channels, multiplied and added up."""
    inputs = [keras.Input((1,), dtype="int32") for _ in range(2)]
    tables = [layers.Embedding(10, 8, name=name) for name in ("user", "thing")]
    rows = [layers.Flatten()(table(x)) for table, x in zip(tables, inputs)]
    y = layers.Dot(axes=1, normalize=True)(rows)
    return keras.Model(inputs, dense("head", 3)(y))


def twins():
    """The distance between what one network makes of two inputs."""
    inputs = [keras.Input(TABLE) for _ in range(2)]
    x, y = map(keras.Sequential([dense("a", activation="relu"), dense("b", 6)]), inputs)
    far = ops.sqrt(ops.sum(ops.square(x - y), axis=-1, keepdims=True))
    return keras.Model(inputs, dense("head", 3)(far))


def there_and_back(tied):
    """A table that makes channels of words, and words of channels."""
    inputs = keras.Input((7,), dtype="int32")
    words = layers.ReversibleEmbedding(11, 8, tie_weights=tied, name="words")
    x = dense("b")(dense("a", 6, activation="relu")(words(inputs)))
    return keras.Model(inputs, dense("head", 3)(words(x, reverse=True)))


WHOLE = {
    "likes": (likes, {"thing": 8}),
    "twins": (twins, {"sequential/a": 8, "sequential/b": 6}),
    "tied": (lambda: there_and_back(True), {"words": 8, "a": 6}),
    "not_tied": (lambda: there_and_back(False), {"words": 8, "a": 6}),
    "flat": (flat, {"a": 8, "b": 6, "c": 8}),
    "tokens": (tokens, {"words": 8, "r/lstm_cell": 6}),
    "super_resolution": (super_resolution, {"a": 8, "b": 6}),
}
CASES = {
    **{k: (lambda f=f: image_model(f), sizes) for k, (f, sizes) in IMAGES.items()},
    **{
        name: (lambda f=f: sequence_model(f), sizes)
        for name, (f, sizes) in SEQUENCES.items()
    },
    **WHOLE,
}  # fmt: skip
#: Where a table of positions becomes constants; where the last channel has to stay.
LEAVES_LESS_OR_MORE = ("own_positions", "pooled")
each_case = pytest.mark.parametrize("build, sizes", CASES.values(), ids=list(CASES))


def made(build):
    """A model with random weights of every kind."""
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    model, rng = build(), np.random.default_rng(0)
    for w in model.weights:
        if "variance" in w.name:
            w.assign(rng.uniform(0.5, 2, w.shape))
        elif keras.backend.is_float_dtype(w.dtype):
            w.assign(rng.normal(size=w.shape) * 0.5)
    return model


def kill(group, dead):
    for part in group.producers:
        w = np.array(part.variable)
        places = [slice(None)] * w.ndim
        places[part.axis] = part.index[dead].ravel()
        w[tuple(places)] = 0
        part.variable.assign(w)


def inputs_of(model, rows=3, size=7):
    rng = np.random.default_rng(1)

    def random(x):
        shape = (rows, *(n or size for n in x.shape[1:]))
        if keras.backend.is_float_dtype(x.dtype):
            return rng.normal(size=shape).astype("float32")
        return rng.integers(1, 10, shape).astype(x.dtype)

    return keras.tree.map_structure(random, model.input)


@each_case
@pytest.mark.parametrize("share", few([0.25, 0.5, 1.0], 0.25))
def test_dead_channels_go(build, sizes, share):
    """All that were killed, and nothing else, of the model's random weights."""
    model = made(build)
    left, groups = {}, tf_admm.channel_groups(model, verbose=0)
    assert {g.name: g.channels for g in groups.prunable} == sizes
    assert {g.name: g.why for g in groups}["head"] == "an output of the model"
    for group in groups.prunable:
        gone = round(share * group.channels)
        left[group.producers[0].path] = (max(1, group.channels - gone), group.channels)
        kill(group, np.random.default_rng(2).permutation(group.channels)[:gone])
        assert group.dead().sum() == gone
    x = inputs_of(model)
    expected = np.array(model(x))
    small, report = tf_admm.shrink(model)
    np.testing.assert_allclose(
        np.array(small(x)), expected, atol=1e-5 * max(1, np.abs(expected).max())
    )
    assert not report.stopped
    np.testing.assert_array_equal(np.array(model(x)), expected)
    if share < 1:
        # A channel may be several outputs: a place of Reshape, a whole group.
        found = {path: report.units[path] for path in left}
        assert {
            k: (n * left[k][1] // m, left[k][1]) for k, (n, m) in found.items()
        } == left


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [pytest.param(CASES[k][0], id=k) for k in CASES if k not in LEAVES_LESS_OR_MORE],
)
def test_bytes_are_what_goes(build):
    """One channel of one group, beside all weights before and after."""
    x = inputs_of(made(build))
    names = [g.name for g in tf_admm.channel_groups(made(build), verbose=0).prunable]
    for name in names:
        model = made(build)
        group = tf_admm.channel_groups(model, samples=x, verbose=0).named(name)
        kill(group, [0])
        _, report = tf_admm.shrink(model)
        lost = 4 * (report.total_parameters - report.parameters)
        # In a kernel that reads the channels it makes, rows and columns meet.
        square = sum(
            4 * p.index.shape[1] * c.index.shape[1] * spots(p)
            for p in group.producers
            for c in group.consumers
            if p.variable is c.variable and p.axis != c.axis
        )
        assert lost == group.bytes - square


def spots(part):
    """Entries of a kernel besides its inputs and outputs."""
    shape = part.variable.shape
    return int(np.prod(shape)) // (shape[-1] * shape[-2])


@pytest.mark.parametrize("case", ["depthwise_norm", "attention", "rms_norm"])
def test_what_is_shrunk_is_shrunk_again(case):
    """Also where zeros are put back before a normalisation."""
    model = made(CASES[case][0])
    x, operations = inputs_of(model), []
    for dead in ([0, 1], [2]):
        group = tf_admm.channel_groups(model, verbose=0).named("a")
        kill(group, dead)
        expected = np.array(model(x))
        model, _ = tf_admm.shrink(model)
        np.testing.assert_allclose(np.array(model(x)), expected, atol=1e-5)
        operations.append(len(model.operations))
    assert tf_admm.channel_groups(model, verbose=0).named("a").channels == 5
    assert operations[0] == operations[1]


def test_a_constant_that_differs_from_place_to_place_stays():
    """Channels 4 to 7 put it out although they are dead; 0 to 3 put out 0.0."""
    model = made(lambda: image_model(by_place))
    x = inputs_of(model)
    groups = tf_admm.channel_groups(model, verbose=0)
    assert groups.named("a").channels == groups.named("a#2").channels == 4
    assert groups.named("a").why is None
    assert groups.named("a#2").why == "not 0.0 where 'next' reads it, even if dead"
    kill(groups.named("a"), [1, 2])
    kill(groups.named("a#2"), [1, 2])
    expected = np.array(model(x))
    small, report = tf_admm.shrink(model, verbose=0)
    assert report.units["a/kernel"] == (6, 8)
    np.testing.assert_allclose(np.array(small(x)), expected, atol=1e-4)


@pytest.mark.parametrize(
    "activation, at_zero",
    [("relu", 0), ("gelu", 0), ("tanh", 0), ("sigmoid", 0.5), ("softplus", np.log(2))],
)
@pytest.mark.parametrize(
    "reader, border",
    [
        (lambda: conv("reader", 4), True),
        (lambda: conv("reader", 4, padding="valid"), False),
        (lambda: conv("reader", 4, 1), False),
        (lambda: layers.Conv2DTranspose(4, 3, name="reader"), True),
        (lambda: layers.SeparableConv2D(4, 3, padding="same", name="reader"), True),
        (lambda: layers.LayerNormalization(name="reader"), True),
        (lambda: dense("reader", 4), False),
    ],
    ids=["same", "valid", "pointwise", "transposed", "separable", "norm", "dense"],
)
@pytest.mark.parametrize("inside", few([False, True], False))
def test_a_group_can_be_pruned_if_its_constant_can_go(
    activation, at_zero, reader, border, inside
):
    """What is 0.0 no layer needs; another number needs a bias that fits everywhere."""

    def build(x):
        if inside:
            return reader()(conv("made", activation=activation)(x))
        return reader()(layers.Activation(activation)(conv("made")(x)))

    model = made(lambda: image_model(build))
    group = tf_admm.channel_groups(model, verbose=0).named("made")
    assert (group.why is None) == (at_zero == 0 or not border)
    kill(group, [0, 3, 5])
    x, why = inputs_of(model), group.why
    expected = np.array(model(x))
    small, report = tf_admm.shrink(model, verbose=0)
    assert report.units["made/kernel"][0] == (5 if why is None else 8)
    np.testing.assert_allclose(np.array(small(x)), expected, atol=1e-4)


def test_a_small_model_is_saved_and_trained(tmp_path):
    model = made(lambda: image_model(squeeze_and_excite))
    for group in tf_admm.channel_groups(model, verbose=0).prunable:
        kill(group, [0, 1])
    small, _ = tf_admm.shrink(model)
    path = tmp_path / "small.keras"
    small.save(path)
    again = keras.saving.load_model(path)
    x = inputs_of(model)
    np.testing.assert_array_equal(np.array(again(x)), np.array(small(x)))
    small.compile("sgd", "mse")
    before = [np.array(w) for w in model.weights]
    small.fit(x, np.zeros((3, 3)), verbose=0)
    for old, new in zip(before, model.weights):
        np.testing.assert_array_equal(old, np.array(new))


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), slice(None, None, 2)),
        (slice(None), 0),
        (..., slice(None, 4)),
        (slice(None), slice(None), slice(None), slice(2, None)),
    ],
    ids=str,
)
def test_slices_pass_channels_in_a_loaded_model_too(key, tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, name="a")(inputs)[key]
    model = keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    found = [
        [(group.name, group.channels, group.why) for group in groups]
        for groups in (tf_admm.channel_groups(m, verbose=0) for m in (model, loaded))
    ]
    assert found[0] == found[1] and found[0][0][2] is None


def test_the_table_names_what_stays():
    text = repr(tf_admm.channel_groups(made(lambda: image_model(residual)), verbose=0))
    assert "an output" in text and "inside" in text


def test_a_layer_that_is_only_called_like_one_of_keras():
    class LayerScale(layers.Layer):
        def build(self, shape):
            self.lambda_ = self.add_weight(shape=shape[-1:], name="lambda")

        def call(self, x):
            return x * self.lambda_ + 1.0

    model = made(lambda: image_model(lambda x: LayerScale(name="own")(x)))
    groups = tf_admm.channel_groups(model, verbose=0)
    assert groups.named("a").why == (
        "'own' of type LayerScale, whose channels are not known"
    )


@pytest.mark.parametrize(
    "function",
    [
        layers.Softmax(),
        layers.Activation("softmax"),
        lambda x: ops.softmax(x, axis=-1),
    ],
    ids=["layer", "activation", "operation"],
)
def test_what_takes_all_channels_together_says_so(function):
    inputs = keras.Input(WORDS)
    x = layers.Conv1D(8, 3, activation="relu", name="before")(inputs)
    x = function(layers.Conv1D(8, 1, name="whole")(x))
    x = dense("after", activation="relu")(layers.Flatten()(x))
    model = keras.Model(inputs, dense("head", 3)(x))
    groups = tf_admm.channel_groups(model, verbose=0)
    whys = {group.name: group.why for group in groups}
    assert "takes all together" in whys.pop("whole")
    assert whys == {"before": None, "after": None, "head": "an output of the model"}
    for group in groups:
        if group.why is None:
            kill(group, np.arange(3))
    small, report = tf_admm.shrink(model, verbose=0)
    assert small.get_layer("before").filters == small.get_layer("after").units == 5
    assert not report.stopped
    x = np.random.default_rng(0).normal(size=(4, *WORDS)).astype("float32")
    np.testing.assert_allclose(small(x), model(x), atol=1e-5)
