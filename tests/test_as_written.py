"""Models as people write them, of each kind that once failed, or lost something."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import tf_admm


def words(*following):
    """Word numbers, zeros behind them, through an embedding that masks these."""
    first = [keras.Input((10,)), layers.Embedding(20, 8, mask_zero=True, name="words")]
    return keras.Sequential([*first, *following, layers.Dense(2, name="head")])


def lstm(units, **kwargs):
    return layers.LSTM(units, return_sequences=True, **kwargs)


def tagger():
    return words(lstm(6, name="r"), layers.TimeDistributed(layers.Dense(4, name="d")))


def stacked_both_ways():
    first = layers.Bidirectional(lstm(6, name="r"), name="both")
    return words(first, layers.Bidirectional(layers.GRU(4, name="s"), name="last"))


def masked_features():
    return keras.Sequential(
        [
            keras.Input((10, 4)),
            layers.Masking(),
            lstm(8, name="r"),
            layers.BatchNormalization(),
            layers.GRU(4, name="s"),
            layers.Dense(2, name="head"),
        ]
    )


def joined_words():
    """Two tables, one after the other in time, beside numbers that have no mask."""
    table = layers.Embedding(20, 8, mask_zero=True, name="words")
    inputs = [keras.Input((10,)), keras.Input((10,)), keras.Input((20, 4))]
    x = layers.Concatenate(axis=1)([table(inputs[0]), table(inputs[1])])
    x = layers.Concatenate()([x, layers.Dense(6, name="d")(inputs[2])])
    x = layers.LSTM(4, name="r")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


def masked_gates():
    inputs = keras.Input((10, 4))
    x = layers.Dense(8, "relu", name="d")(layers.Masking()(inputs))
    gate = layers.Dense(8, "sigmoid", name="g")(x)
    x = layers.Concatenate()([layers.Multiply()([x, gate]), x])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


def read_both_ways():
    """An encoder that reads both ways, and a decoder that begins with its states."""
    table = layers.Embedding(20, 8, mask_zero=True, name="words")
    inputs = [keras.Input((10,)), keras.Input((6,), dtype="int32")]
    encoder = layers.Bidirectional(lstm(4, return_state=True, name="r"), name="e")
    x, *states = encoder(table(inputs[0]))
    states = [layers.Concatenate()([states[i], states[i + 2]]) for i in (0, 1)]
    decoder = lstm(8, name="decoder")
    y = decoder(layers.Embedding(20, 6, name="others")(inputs[1]), initial_state=states)
    y = layers.Concatenate()([y, layers.Attention()([y, x])])
    return keras.Model(inputs, layers.Dense(5, name="head")(y))


def ways_apart():
    """Both ways, not merged, and both ways again from the states of these."""
    inputs = keras.Input((10, 4))
    first = layers.GRU(6, return_sequences=True, return_state=True, name="r")
    a, b, *states = layers.Bidirectional(first, merge_mode=None, name="e")(inputs)
    x = layers.Concatenate()([a, layers.Dense(4, name="d")(b)])
    last = layers.Bidirectional(layers.GRU(6, name="s"), merge_mode="sum", name="f")
    x = last(x, initial_state=states)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


def heads_that_share():
    """Two query heads to one of keys and values, which are another's, and a gate."""
    inputs = keras.Input((10, 4))
    x, y = (layers.Dense(8, name=name)(inputs) for name in "de")
    z = layers.GroupQueryAttention(4, 8, 4, use_gate=True, name="a")(x, y)
    z = layers.LayerNormalization()(layers.Add()([x, z]))
    z = layers.MultiHeadAttention(2, 3, use_gate=True, name="m")(z, y)
    return keras.Model(inputs, layers.Dense(2, name="head")(z))


def chain(*norms):
    """Layers one behind the other, in a `Sequential`."""
    found = [keras.Input((4, 4, 5))]
    for i, norm in enumerate(norms):
        found += [layers.Conv2D(8, 3, padding="same", name=f"c{i}"), norm]
    return keras.Sequential([*found, layers.Flatten(), layers.Dense(2, name="head")])


def norms():
    norm = layers.GroupNormalization(4)
    return chain(layers.LayerNormalization(), layers.RMSNormalization(), norm)


def masked_norms():
    return keras.Sequential(
        [
            keras.Input((10, 4)),
            layers.Masking(),
            lstm(8, name="r"),
            layers.LayerNormalization(),
            lstm(6, name="s"),
            layers.LayerNormalization(),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2, name="head"),
        ]
    )


def unit_keys():
    """Keys and queries of unit length, by division."""
    inputs = keras.Input((10, 4))
    q, k, v = (layers.Dense(8, name=name)(inputs) for name in "qkv")
    q = q / (ops.norm(q, axis=-1, keepdims=True) + 1e-6)
    k = k / ops.sqrt(ops.sum(ops.square(k), axis=-1, keepdims=True) + 1e-6)
    y = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 2, 1)))) @ v
    y = layers.GlobalAveragePooling1D()(y)
    return keras.Model(inputs, layers.Dense(2, name="head")(y))


def glove():
    table = keras.initializers.Constant(np.ones((20, 8)))
    return keras.Sequential(
        [
            keras.Input((10,), dtype="int32"),
            layers.Embedding(20, 8, embeddings_initializer=table, name="words"),
            layers.Conv1D(6, 3, bias_initializer=table_of(6), name="c"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(2, name="head"),
        ]
    )


def table_of(count):
    return keras.initializers.Constant(list(range(count)))


def title_and_body():
    inputs = [keras.Input((n,), dtype="int32") for n in (10, 5)]
    table = layers.Embedding(20, 8, name="words")
    pooled = [layers.GlobalAveragePooling1D()(table(x)) for x in inputs]
    y = layers.Dense(2, name="head")(layers.Concatenate()(pooled))
    return keras.Model(inputs, y)


def translator():
    source, target = keras.Input((None, 6)), keras.Input((None, 5))
    *_, h, c = layers.LSTM(8, return_state=True, name="encoder")(source)
    decoder = lstm(8, return_state=True, name="decoder")
    y, _, _ = decoder(target, initial_state=[h, c])
    return keras.Model([source, target], layers.Dense(2, name="head")(y))


def frames():
    """A small network on each frame, and a recurrent layer."""
    frame = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3, activation="relu", name="c"),
            layers.Dropout(0.1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(6, name="d"),
        ],
        name="frame",
    )
    inputs = keras.Input((5, 8, 8, 3))
    y = layers.LSTM(4, name="r")(layers.TimeDistributed(frame, name="each")(inputs))
    return keras.Model(inputs, layers.Dense(2, name="head")(y))


def around_a_cell():
    rnn = layers.RNN(layers.GRUCell(6, name="cell"), return_state=True, name="r")
    inputs = keras.Input((10, 4))
    y = layers.Concatenate()(rnn(inputs))
    return keras.Model(inputs, layers.Dense(2, name="head")(y))


def additive():
    inputs = keras.Input((10, 4))
    q = layers.Dense(8, name="q")(inputs)
    y = layers.AdditiveAttention()([q, layers.Dense(6, name="v")(inputs), q])
    y = layers.Dense(2, name="head")(layers.GlobalAveragePooling1D()(y))
    return keras.Model(inputs, y)


def spatial_attention():
    """The mean over channels in a Lambda."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, name="c", activation="relu")(inputs)
    mean = layers.Lambda(lambda t: ops.mean(t, axis=-1, keepdims=True))(x)
    y = layers.Flatten()(layers.Multiply()([x, mean]))
    return keras.Model(inputs, layers.Dense(2, name="head")(y))


def time_of_diffusion():
    inputs = keras.Input((8, 8, 3)), keras.Input((4,))
    x = layers.Conv2D(8, 3, name="c")(inputs[0])
    x = x + layers.Dense(8, name="t")(inputs[1])[:, None, None, :]
    y = layers.Dense(2, name="head")(layers.Flatten()(layers.ReLU()(x)))
    return keras.Model(list(inputs), y)


def open_masks():
    """Masks of open lengths, which get an axis by a slice."""
    inputs = keras.Input((None, 6)), keras.Input((None,))
    q, v = (layers.Dense(8, name=name)(inputs[0]) for name in "qv")
    scores = ops.matmul(q, ops.transpose(q, (0, 2, 1)))
    weights = ops.softmax(
        scores - 9.0 * inputs[1][:, None, :] - inputs[1][:, 1:2, None]
    )
    y = layers.GlobalAveragePooling1D()(ops.matmul(weights, v))
    return keras.Model(list(inputs), layers.Dense(2, name="head")(y))


@keras.saving.register_keras_serializable(package="tests")
class Sampling(layers.Layer):
    """Of a variational autoencoder; it draws as it predicts, too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, given):
        mean, spread = given
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * spread) * noise


def autoencoder():
    inputs = keras.Input((8,))
    x = layers.Dense(16, "relu", name="a")(inputs)
    z = Sampling()([layers.Dense(4, name="m")(x), layers.Dense(4, name="s")(x)])
    x = layers.Dense(12, "relu", name="b")(z)
    return keras.Model(inputs, layers.Dense(8, name="head")(x))


#: Name: the model, and the sizes of the groups that can be pruned, by hand.
MODELS = {
    "tagger": (tagger, {"words": 8, "r/lstm_cell": 6, "time_distributed/d": 4}),
    "stacked_both_ways": (
        stacked_both_ways,
        {"words": 8, "both/forward_r/lstm_cell": 6, "last/forward_s/gru_cell": 4},
    ),
    "masked_features": (masked_features, {"r/lstm_cell": 8, "s/gru_cell": 4}),
    "norms": (norms, {"c0": 8, "c1": 8, "c2": 8}),
    "masked_norms": (masked_norms, {"r/lstm_cell": 8, "s/lstm_cell": 6}),
    "joined_words": (joined_words, {"words": 8, "d": 6, "r/lstm_cell": 4}),
    "masked_gates": (masked_gates, {"d": 8}),
    "read_both_ways": (
        read_both_ways, {"words": 8, "e/forward_r/lstm_cell": 4, "others": 6}
    ),
    "ways_apart": (ways_apart, {"e/forward_r/gru_cell": 6, "d": 4}),
    "heads_that_share": (
        heads_that_share,
        {"e": 8, "a/query": 4, "m/query": 2, "m/attention_output": 8},
    ),
    "unit_keys": (unit_keys, {"k": 8, "v": 8}),
    "pooled_words": (
        lambda: words(layers.GlobalAveragePooling1D()), {"words": 8}
    ),
    "glove": (glove, {"words": 8, "c": 6}),
    "title_and_body": (title_and_body, {"words": 8}),
    "translator": (translator, {"encoder/lstm_cell": 8}),
    "frames": (frames, {"each/frame/c": 8, "each/frame/d": 6, "r/lstm_cell": 4}),
    "around_a_cell": (around_a_cell, {"r/cell": 6}),
    "additive": (additive, {"q": 8, "v": 6}),
    "spatial_attention": (spatial_attention, {"c": 8}),
    "time_of_diffusion": (time_of_diffusion, {"t": 8}),
    "open_masks": (open_masks, {"q": 8, "v": 8}),
    "autoencoder": (autoencoder, {"a": 16, "b": 12}),
}  # fmt: skip


def made(build):
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    model, rng = build(), np.random.default_rng(0)
    for w in model.weights:
        drawn = rng.normal(size=w.shape) * 0.5
        w.assign(drawn**2 + 0.5 if "variance" in w.name else drawn)
    return model


def inputs_of(model):
    """Random ones; of words, zeros stand behind them."""
    rng = np.random.default_rng(1)

    def random(x):
        shape = (6, *(n or 7 for n in x.shape[1:]))
        if len(shape) > 2:
            x = rng.normal(size=shape).astype("float32")
            x[:, 5:] = 0 if len(shape) == 3 else x[:, 5:]
            return x
        if shape[1] == 10 or x.dtype == "int32":
            return np.where(np.arange(shape[1]) < 4, rng.integers(1, 20, shape), 0)
        return rng.normal(size=shape).astype("float32")

    given = model.inputs[0] if len(model.inputs) == 1 else model.input
    return keras.tree.map_structure(random, given)


def halve(groups):
    for group in groups.prunable:
        for part in group.producers:
            w = np.array(part.variable)
            places = [slice(None)] * w.ndim
            places[part.axis] = part.index[: group.channels // 2].ravel()
            w[tuple(places)] = 0
            part.variable.assign(w)


@pytest.mark.parametrize("name", list(MODELS))
def test_half_goes_of_models_as_written(name, tmp_path):
    build, sizes = MODELS[name]
    model = made(build)
    before = [np.array(v) for v in model.variables]
    groups = tf_admm.channel_groups(model, verbose=0)
    assert {g.name: g.channels for g in groups.prunable} == sizes
    for v, value in zip(model.variables, before):
        np.testing.assert_array_equal(np.array(v), value)
    halve(groups)
    x = inputs_of(model)
    states = [np.array(v) for v in model.non_trainable_variables]
    expected = np.array(model(x, training=False))
    for v, value in zip(model.non_trainable_variables, states):
        v.assign(value)
    small, report = tf_admm.shrink(model, samples=x, verbose=0)
    tolerance = 1e-5 * np.abs(expected).max()
    received = np.array(small(x, training=False))
    np.testing.assert_allclose(received, expected, atol=tolerance)
    for group in groups.prunable:
        left, of = report.units[group.producers[0].path]
        assert 2 * left == of, group
    small.save(tmp_path / "small.keras")
    if name != "autoencoder":
        loaded = keras.saving.load_model(tmp_path / "small.keras", safe_mode=False)
        np.testing.assert_allclose(loaded(x), expected, atol=tolerance)


@keras.saving.register_keras_serializable(package="tests")
class Noisy(layers.Layer):
    """A block whose code adds noise in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.a, self.b = layers.Dense(16, name="a"), layers.Dense(8, name="b")
        self.seed_generator = keras.random.SeedGenerator(1)

    def build(self, shape):
        self.a.build(shape)
        self.b.build((*shape[:-1], 16))

    def call(self, x, training=None):
        y = ops.relu(self.a(x))
        if training:
            y = y + keras.random.normal(ops.shape(y), seed=self.seed_generator)
        return self.b(y)


@keras.saving.register_keras_serializable(package="tests")
class Doubled(Noisy):
    """One that computes something else in training."""

    def call(self, x, training=False):
        return self.b(self.a(x) * 2.0 if training else self.a(x))


@keras.saving.register_keras_serializable(package="tests")
class Still(Noisy):
    """One whose normalisation never trains."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization(name="norm")

    def build(self, shape):
        super().build(shape)
        self.norm.build((*shape[:-1], 16))

    def call(self, x):
        return self.b(self.norm(self.a(x), training=False))


@keras.saving.register_keras_serializable(package="tests")
class Plain(Noisy):
    """One that only says to its layers what it is told."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization(name="norm")

    def build(self, shape):
        super().build(shape)
        self.norm.build((*shape[:-1], 16))

    def call(self, x, training=False):
        return self.b(self.norm(self.a(x), training=training))


@keras.saving.register_keras_serializable(package="tests")
class Clipped(Noisy):
    """One whose weights are clipped in training."""

    def call(self, x, training=None):
        if training:
            self.a.kernel.assign(ops.clip(self.a.kernel, -0.1, 0.1))
        return self.b(self.a(x))


def test_looking_at_a_block_changes_none_of_its_weights():
    model = made(with_block(Clipped))
    before = model.get_weights()
    groups = tf_admm.channel_groups(model, verbose=0)
    tf_admm.shrink(model, verbose=0)
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert "block/a" not in {group.name for group in groups.prunable}


@keras.saving.register_keras_serializable(package="tests")
class Jittered(layers.Layer):
    """Without weights, and noisy in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, x, training=None):
        y = ops.relu(x) * 2.0
        if training:
            y = y + keras.random.normal(ops.shape(y), seed=self.seed_generator)
        return y


def test_a_layer_without_weights_stays_what_it_is():
    model = made(with_block(Jittered))
    halve(tf_admm.channel_groups(model, verbose=0))
    small, report = tf_admm.shrink(model, verbose=0)
    assert report.units["c/kernel"] == (4, 8)
    x = inputs_of(model)
    noise = np.array(small(x, training=True)) - np.array(small(x))
    assert np.abs(noise).max() > 0.1


def with_block(block):
    def build():
        inputs = keras.Input((8,))
        y = block(name="block")(layers.Dense(8, name="c")(inputs))
        return keras.Model(inputs, layers.Dense(2, name="head")(y))

    return build


@pytest.mark.parametrize("block", [Noisy, Doubled, Still, Plain])
def test_what_a_block_does_in_training_is_not_lost(block):
    model = made(with_block(block))
    groups = tf_admm.channel_groups(model, verbose=0)
    halve(groups)
    small, _ = tf_admm.shrink(model, verbose=0)
    assert ("block/a" in {g.name for g in groups.prunable}) == (block is Plain)
    x = inputs_of(model)
    np.testing.assert_allclose(small(x), model(x), atol=1e-5)
    seeds = [v for v in small.variables if v.name == "seed_generator_state"]
    mine = [v for v in model.variables if v.name == "seed_generator_state"]
    for a, b in zip(seeds, mine):
        a.assign(b)
    expected = np.array(model(x, training=True))
    assert (np.abs(expected - np.array(model(x))).max() > 0.1) == (block is not Still)
    if seeds:
        np.testing.assert_allclose(small(x, training=True), expected, atol=1e-4)


def test_numbers_of_numpy_keep_a_block_in_float32():
    @keras.saving.register_keras_serializable(package="tests")
    class Divided(Noisy):
        def call(self, x):
            y = ops.relu(self.a(x)) / np.sqrt(np.float64(8))
            return self.b(y * np.linspace(1, 2, 16))

    model = made(with_block(Divided))
    halve(tf_admm.channel_groups(model, verbose=0))
    small, report = tf_admm.shrink(model, verbose=0)
    assert report.units["block/a/kernel"] == (8, 16)
    assert {str(x.dtype) for x in small.outputs} == {"float32"}


def unknown_to_all():
    inputs = keras.Input((4, 8, 8, 1))
    x = layers.ConvLSTM2D(4, 3, name="memory")(inputs)
    x = layers.SpectralNormalization(layers.Conv2D(6, 3, name="c"), name="s")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))


def test_layers_whose_channels_stay_are_named():
    model = made(unknown_to_all)
    whys = {g.name: g.why for g in tf_admm.channel_groups(model, verbose=0)}
    assert "'memory' of type ConvLSTM2D" in whys["memory/conv_lstm_cell"]
    assert "'s' of type SpectralNormalization" in whys["s/c"]
    _, report = tf_admm.shrink(model, verbose=0)
    assert report.stopped == ("memory", "s")
    half = tf_admm.constraints.GroupSparsity(0.5)
    for constraints in (half, {".*": half}):
        with pytest.raises(ValueError, match="Received: .*SpectralNormalization"):
            tf_admm.ADMMModel(model, constraints)


def test_a_group_of_one_channel_is_no_obstacle():
    """Efficient channel attention: a convolution along the channels."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, name="c")(layers.Conv2D(4, 3, name="a")(inputs))
    y = layers.Reshape((8, 1))(layers.GlobalAveragePooling2D()(x))
    y = layers.Conv1D(1, 3, padding="same", activation="sigmoid", name="eca")(y)
    x = layers.Multiply()([x, layers.Reshape((1, 1, 8))(y)])
    y = layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, y)
    groups = tf_admm.channel_groups(model, verbose=0)
    whys = {g.name: g.why for g in groups}
    assert whys["c"] == "a single channel" and whys["a"] is None
    admm = tf_admm.ADMMModel(model, {".*": tf_admm.constraints.GroupSparsity(0.75)})
    assert admm is not None
