"""Models without their dead units compute the same."""

import os

import keras
import numpy as np
import pytest
from keras import layers

import models
import tf_admm
from tf_admm.constraints import FilterSparsity
from tf_admm.constraints import Sparsity
from tf_admm.structure import copying
from tf_admm.structure import kernels


def randomise(model, seed=0):
    """Biases, scales and statistics that would show if they were lost."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.name in ("bias", "beta", "gamma", "moving_mean"):
            variable.assign(variable + rng.normal(0, 0.3, variable.shape))
        if variable.name == "moving_variance":
            variable.assign(variable + rng.uniform(0, 1, variable.shape))


def prune(model, constraint, but=()):
    for kernel in kernels.find(model):
        if kernel.layer.name not in but:
            w = kernel.canonical(kernel.variable)
            kernel.variable.assign(kernel.original(constraint(w)))
    randomise(model)
    return model


def inputs_of(model, rows=5):
    rng = np.random.default_rng(1)
    return keras.tree.map_structure(
        lambda x: rng.normal(size=(rows, *x.shape[1:])).astype("float32"),
        model.inputs if len(model.inputs) > 1 else model.inputs[0],
    )


def check(model):
    """Shrink, and compare on inputs of our own."""
    before = model.get_weights()
    small, report = tf_admm.shrink(model)
    x = inputs_of(model)
    if isinstance(x, list):
        x = dict(zip([t.name for t in model.inputs], x))
    expected = keras.tree.flatten(model(x, training=False))
    found = keras.tree.flatten(small(x, training=False))
    for a, b in zip(expected, found, strict=True):
        assert a.shape == b.shape
        scale = max(1.0, float(np.abs(a).max()))
        np.testing.assert_allclose(b, a, atol=2e-5 * scale, rtol=1e-4)
    assert report.parameters == small.count_params()
    assert report.total_parameters == model.count_params()
    for now, then in zip(model.get_weights(), before):
        np.testing.assert_array_equal(now, then)
    return small, report


def through(*stack, shape):
    return keras.Sequential([keras.Input(shape), *stack])


def lenet(filters=(6, 10), **kwargs):
    return through(
        layers.Conv2D(filters[0], 5, name="conv1", **kwargs),
        layers.MaxPooling2D(),
        layers.Conv2D(filters[1], 5, activation="relu", name="conv2", **kwargs),
        layers.AveragePooling2D(2),
        layers.Flatten(),
        layers.Dense(20, "relu", name="fc1"),
        layers.Dropout(0.5),
        layers.Dense(4, name="fc2"),
        shape=(28, 28, 1),
    )


def resnet(blocks=3, width=8):
    inputs = x = keras.Input((16, 16, 3))
    x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
    for _ in range(blocks):
        y = layers.BatchNormalization()(x)
        y = layers.ReLU()(y)
        y = layers.Conv2D(width, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        y = layers.Activation("relu")(y)
        y = layers.Conv2D(width, 3, padding="same")(y)
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(5, "softmax", name="head")(x))


def branches():
    inputs = keras.Input((12, 12, 3))
    a = layers.Conv2D(6, 3, activation="tanh")(inputs)
    b = layers.SeparableConv2D(5, 3, depth_multiplier=2)(inputs)
    x = layers.Concatenate()([a, b])
    x = layers.ZeroPadding2D(1)(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x)
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="elu")(x)
    x = layers.SeparableConv2D(7, 3)(x)
    x = layers.LeakyReLU()(x)
    x = layers.Reshape((-1, 7))(x)
    x = layers.Conv1D(5, 4, strides=4)(x)
    return keras.Model(inputs, [layers.Dense(3)(layers.GlobalMaxPooling1D()(x)), x])


def nested():
    inner_in = keras.Input((8, 8, 4))
    x = layers.Conv2D(12, 3, activation="relu", name="one")(inner_in)
    inner = keras.Model(inner_in, layers.Conv2D(6, 3, name="two")(x), name="inner")
    tail = keras.Sequential(
        [layers.Dense(10, "relu", name="three"), layers.Dense(3, name="four")]
    )
    inputs = keras.Input((8, 8, 4))
    x = layers.Flatten()(layers.ReLU()(inner(inputs)))
    return keras.Model(inputs, tail(layers.Dense(16, name="five")(x)))


def shared():
    a = keras.Input((6,), name="a")
    b = keras.Input((6,), name="b")
    first, second = layers.Dense(12, "relu"), layers.Dense(8)
    x = layers.Add()([second(first(a)), second(first(b))])
    return keras.Model({"a": a, "b": b}, layers.Dense(3, name="head")(x))


GRAPHS = {
    "lenet": lenet,
    "lenet_same": lambda: lenet(padding="same"),
    "resnet": resnet,
    "branches": branches,
    "nested": nested,
    "shared": shared,
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize(
    "sparsity", [0.6, *(pytest.param(s, marks=pytest.mark.slow) for s in (0.3, 0.9))]
)
def test_dead_filters_go(name, sparsity):
    keras.utils.set_random_seed(0)
    model = prune(GRAPHS[name](), FilterSparsity(sparsity), but=("head", "fc2", "four"))
    small, report = check(model)
    assert report.parameters < report.total_parameters
    assert all(1 <= left <= total for left, total in report.units.values())


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("sparsity", [0.0, 0.9, 0.97, 1.0])
def test_dead_units_of_unstructured_pruning_go(name, sparsity):
    keras.utils.set_random_seed(0)
    small, report = check(prune(GRAPHS[name](), Sparsity(sparsity)))
    if sparsity == 0.0:
        assert report.parameters == report.total_parameters


@pytest.mark.parametrize("name", [n for n in models.MODELS if n != "subclassed"])
def test_any_model(name):
    """Whatever stops it: the outputs are the same."""
    if name in ("lstm",):
        pytest.skip("takes tokens; see below")
    model = prune(
        models.MODELS[name]().model, FilterSparsity(0.5), but=("head", "size")
    )
    check(model)


def test_mobilenet():
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2((32, 32, 3), 0.35, weights=None, classes=5)
    pointwise = [k.layer.name for k in kernels.find(model) if k.shape[:2] == (1, 1)]
    others = {k.layer.name for k in kernels.find(model)} - set(pointwise)
    small, report = check(prune(model, FilterSparsity(0.5), but=others))
    assert report.parameters < 0.7 * report.total_parameters
    assert report.stopped == ()


def test_it_is_a_plain_model(tmp_path):
    model = prune(lenet(), FilterSparsity(0.5), but=("fc2",))
    small, _ = tf_admm.shrink(model)
    path = tmp_path / "small.keras"
    small.save(path)
    loaded = keras.saving.load_model(path)
    x = inputs_of(model)
    np.testing.assert_array_equal(loaded(x), small(x))
    assert [layer.name for layer in small.layers] == [
        layer.name for layer in model.layers
    ]


# What exactly goes, and when it must not.


def units(model):
    return {
        path.split("/")[0]: left for path, (left, _) in check(model)[1].units.items()
    }


def kill(layer, unit, bias):
    """Nothing goes into the unit; it puts out its bias all the same."""
    kernel = np.array(layer.kernel)
    kernel[..., unit] = 0.0
    layer.kernel.assign(kernel)
    values = np.array(layer.bias)
    values[unit] = bias
    layer.bias.assign(values)


@pytest.mark.parametrize("bias", [0.0, 0.7, -0.7])
def test_a_constant_goes_into_the_next_bias(bias):
    model = lenet()
    kill(model.get_layer("conv1"), 2, bias)
    kill(model.get_layer("fc1"), 3, bias)
    assert units(model) == {"conv1": 5, "conv2": 10, "fc1": 19, "fc2": 4}


@pytest.mark.parametrize("bias, left", [(0.0, 5), (0.7, 6)])
def test_not_where_the_next_kernel_sees_padding(bias, left):
    """At the border, it reads zeros in place of the constant."""
    model = lenet(padding="same")
    kill(model.get_layer("conv1"), 2, bias)
    assert units(model)["conv1"] == left


@pytest.mark.parametrize("bias, left", [(-0.7, 5), (0.0, 5), (0.7, 6)])
def test_zero_padding_between(bias, left):
    model = through(
        layers.Conv2D(6, 3, activation="relu", name="a"),
        layers.ZeroPadding2D(),
        layers.Conv2D(4, 3, name="b"),
        shape=(8, 8, 2),
    )
    kill(model.get_layer("a"), 1, bias)
    assert units(model)["a"] == left


def test_a_bias_is_made_where_there_was_none():
    model = through(
        layers.Dense(6, name="a"), layers.Dense(4, use_bias=False), shape=(5,)
    )
    kill(model.get_layer("a"), 1, 0.5)
    small, report = check(model)
    assert report.units["a/kernel"] == (5, 6)
    assert small.layers[1].use_bias and not model.layers[1].use_bias


def test_what_nothing_reads_goes_and_what_feeds_it():
    model = through(
        layers.Dense(6, "relu", name="a"),
        layers.Dense(5, "tanh", name="b"),
        layers.Dense(4, name="c"),
        shape=(3,),
    )
    b, c = model.layers[1].kernel, model.layers[2].kernel
    # c reads no unit 0 of b, which alone reads unit 2 of a.
    rows = np.array(c)
    rows[0] = 0.0
    c.assign(rows)
    column = np.array(b)
    column[2, 1:] = 0.0
    b.assign(column)
    assert units(model) == {"a": 5, "b": 4, "c": 4}


def test_a_summand_holds_the_other():
    inputs = keras.Input((4,))
    a = layers.Dense(6, name="a")(inputs)
    b = layers.Dense(6, name="b")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="c")(layers.Add()([a, b])))
    kill(model.get_layer("a"), 0, 0.3)
    assert units(model) == {"a": 6, "b": 6, "c": 2}
    kill(model.get_layer("b"), 0, 0.4)
    assert units(model) == {"a": 5, "b": 5, "c": 2}


def test_it_stops_at_a_layer_of_ones_own():
    class Own(layers.Layer):
        def call(self, x):
            return x[:, ::-1]

    x = inputs = keras.Input((4,))
    x = layers.Dense(6, name="a")(x)
    x = Own(name="own")(layers.Dense(6, name="b")(x))
    model = keras.Model(inputs, layers.Dense(2, name="c")(x))
    kill(model.get_layer("a"), 0, 0.3)
    kill(model.get_layer("b"), 0, 0.3)
    small, report = check(model)
    left = [left for left, _ in report.units.values()]
    assert list(report.units) == ["a/kernel", "b/kernel", "c/kernel"]
    assert left == [5, 6, 2]
    assert report.stopped == ("own",)


def test_it_stops_at_operations_between_layers():
    x = inputs = keras.Input((4,))
    x = layers.Dense(6, name="a")(x)
    x = keras.ops.flip(x, axis=-1) * 2.0
    model = keras.Model(inputs, layers.Dense(2, name="c")(x))
    kill(model.get_layer("a"), 0, 0.3)
    small, report = check(model)
    assert report.units["a/kernel"] == (6, 6) and report.stopped


def test_half_a_gate_is_no_dead_unit():
    task = models.lstm()
    prune(task.model, FilterSparsity(0.5), but=("head",))
    small, report = tf_admm.shrink(task.model)
    np.testing.assert_allclose(small(task.x), task.model(task.x), atol=1e-6)
    assert not report.stopped
    (lstm,) = (layer for layer in small.layers if isinstance(layer, layers.LSTM))
    assert lstm.units == 6


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((6,))
    x = layers.Dense(8, "relu", dtype=policy, name="a")(x)
    y = layers.Dense(8, dtype=policy, name="b")(x)
    z = layers.Add(dtype="float32")([layers.Dense(8, name="c")(x), y])
    model = keras.Model(inputs, layers.Dense(3, dtype="float32", name="d")(z))
    kernel = np.array(model.get_layer("a").kernel)
    kernel[0] = 0.0
    model.get_layer("a").kernel.assign(kernel)
    for name in "abc":
        kill(model.get_layer(name), 1, 0.2)
    small, report = tf_admm.shrink(model)
    assert {left for left, total in report.units.values() if total == 8} == {7}
    assert [layer.dtype_policy.name for layer in small.layers] == [
        layer.dtype_policy.name for layer in model.layers
    ]
    values = inputs_of(model)
    np.testing.assert_allclose(small(values), model(values), atol=5e-2)


def test_constants_are_not_rounded():
    """A constant behind a mixed-precision activation is folded as float32."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((20,))
    for layer in (
        layers.Dense(64, dtype="mixed_float16", name="a"),
        layers.Activation("tanh", dtype="mixed_float16"),
        layers.BatchNormalization(dtype="mixed_float16"),
        layers.Dense(5, name="b"),
    ):
        x = layer(x)
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(0)
    model.set_weights([np.abs(rng.normal(size=w.shape)) for w in model.get_weights()])
    kernel = np.array(model.get_layer("a").kernel)
    kernel[:, :32] = 0
    model.get_layer("a").kernel.assign(kernel)
    _, report = tf_admm.shrink(model)
    assert report.units["a/kernel"] == (32, 64)
    assert report.max_difference < 1e-4


def test_one_unit_stays_where_all_are_dead():
    model = through(
        layers.Dense(6, "relu", name="a"), layers.Dense(2, name="b"), shape=(4,)
    )
    for unit in range(6):
        kill(model.get_layer("a"), unit, 0.1 * unit)
    assert units(model) == {"a": 1, "b": 2}


def test_the_report_prints(capsys):
    from rich.console import Console

    _, report = tf_admm.shrink(prune(lenet(), FilterSparsity(0.5), but=("fc2",)))
    Console().print(report)
    printed = capsys.readouterr().out
    assert "conv1" in printed and f"{report.parameters:,}" in printed


def test_subclassed_models_are_refused():
    with pytest.raises(ValueError, match="functional or sequential model.*Subclassed"):
        tf_admm.shrink(models.subclassed().model)


# Layers in which nothing changes.


class NoConfig(layers.Layer):
    """A layer that can't be made again from its config."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def build(self, shape):
        self.offset = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return self.function(x) + self.offset


def statistics():
    x = np.random.default_rng(0).normal(3, 2, (64, 5)).astype("float32")
    layer = layers.Normalization()
    layer.adapt(x)
    return layer


CARRIED = {
    "normalization": statistics,
    "lambda": lambda: layers.Lambda(lambda x: keras.ops.flip(x, axis=-1) * 2.0),
    "no_config": lambda: NoConfig(lambda x: x[:, ::-1]),
    "discretization": lambda: layers.Rescaling([1.0, 2, 3, 4, 5], offset=0.5),
}


@pytest.mark.parametrize("make", CARRIED.values(), ids=list(CARRIED))
def test_other_layers_are_carried_over_exactly(make):
    inputs = keras.Input((5,))
    x = layers.Dense(8, "relu", name="a")(make()(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="b")(x))
    kill(model.get_layer("a"), [0, 3, 5], 0.0)
    small, report = check(model)
    assert report.units["a/kernel"] == (5, 8)
    assert report.max_difference < 1e-5


@pytest.mark.parametrize("dead", [(0, 2), (4, 6), (0, 4, 5, 6)])
@pytest.mark.parametrize("by", [2, [3], [2, 5]])
def test_parts_of_a_split_lose_channels_each_by_itself(dead, by):
    inputs = keras.Input((4,))
    parts = keras.ops.split(layers.Dense(8, name="d")(inputs), by, axis=-1)
    outputs = layers.Concatenate()([layers.Dense(2)(part) for part in parts])
    model = keras.Model(inputs, outputs)
    randomise(model)
    kernel, bias = model.get_layer("d").get_weights()
    kernel[:, dead], bias[list(dead)] = 0.0, 0.0
    model.get_layer("d").set_weights([kernel, bias])
    _, report = check(model)
    assert report.units["d/kernel"] == (8 - len(dead), 8)


@pytest.mark.parametrize("norm", [layers.LayerNormalization, layers.GroupNormalization])
def test_names_of_a_loaded_model_stay_its_own(norm, tmp_path):
    """Keras gives the same ones to what is put beside a layer, counting from anew."""
    keras.utils.clear_session()
    inputs = keras.Input((10, 8))
    kwargs = {"groups": 2} if norm is layers.GroupNormalization else {}
    x = norm(name="n", **kwargs)(layers.Dense(6, name="d")(inputs))
    x = keras.ops.pad(x, [[0, 0], [1, 0], [0, 0]])[:, ::2]
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(4, name="e")(x)))
    randomise(model)
    for name in ("d", "n"):
        weights = model.get_layer(name).get_weights()
        for w in weights:
            w[..., [0, 2]] = 0.0
        model.get_layer(name).set_weights(weights)
    names = [operation.name for operation in model.operations]
    model.save(tmp_path / "model.keras")
    keras.utils.clear_session()
    small, report = check(keras.saving.load_model(tmp_path / "model.keras"))
    assert report.units["d/kernel"] == (4, 6)
    assert set(names) <= {operation.name for operation in small.operations}


@pytest.mark.parametrize("kind", ["integers", "strings", "text"])
def test_vocabularies_that_were_learned_come_along(kind):
    words = np.array([["red", "blue"], ["red", "green"]])
    given = np.array([[3, 17], [3, 42]]) if kind == "integers" else words
    if kind == "text":
        lookup, given = layers.TextVectorization(output_sequence_length=2), words[:, 0]
    else:
        strings, integers = layers.StringLookup, layers.IntegerLookup
        lookup = integers() if kind == "integers" else strings()
    lookup.adapt(given)
    given = keras.ops.convert_to_tensor(given)
    dtype = "int64" if kind == "integers" else "string"
    inputs = keras.Input(given.shape[1:], dtype=dtype)
    x = layers.Flatten()(layers.Embedding(8, 4)(lookup(inputs)))
    hidden = layers.Dense(8, "relu", name="d")
    model = keras.Model(inputs, layers.Dense(2)(hidden(x)))
    hidden.kernel.assign(hidden.kernel * (np.arange(8) > 2))
    small, report = tf_admm.shrink(model, given, verbose=0)
    assert report.units["d/kernel"] == (5, 8)
    expected = model(given, training=False)
    np.testing.assert_allclose(small(given, training=False), expected, atol=1e-6)


@keras.saving.register_keras_serializable("tests")
class Table(layers.Layer):
    """A lookup of one's own, whose table is an asset."""

    table = np.zeros(4, "float32")

    def call(self, x):
        return keras.ops.take(keras.ops.convert_to_tensor(self.table), x)

    def save_assets(self, folder):
        np.save(os.path.join(folder, "table.npy"), self.table)

    def load_assets(self, folder):
        self.table = np.load(os.path.join(folder, "table.npy"))


def test_assets_of_a_layer_of_ones_own_come_along():
    table = Table()
    table.table = np.arange(4, dtype="float32")
    inputs = keras.Input((3,), dtype="int32")
    model = keras.Model(inputs, layers.Dense(2)(table(inputs)))
    x = np.array([[0, 1, 2], [3, 3, 1]])
    np.testing.assert_array_equal(copying.copied(model)(x), model(x))


def test_strings_are_not_drawn_at_random():
    lookup = layers.StringLookup(vocabulary=["a", "b"])
    inputs = keras.Input((2,), dtype="string")
    x = layers.Flatten()(layers.Embedding(4, 4)(lookup(inputs)))
    with pytest.raises(ValueError, match="random inputs .* Give `samples`"):
        tf_admm.shrink(keras.Model(inputs, layers.Dense(2)(x)))


@keras.saving.register_keras_serializable("test_shrinking")
class OfOneSize(keras.regularizers.Regularizer):
    """Like that of a PointNet: of rows that are square matrices, or a kernel."""

    def __init__(self, shape):
        self.shape = shape

    def __call__(self, x):
        return keras.ops.sum(keras.ops.square(keras.ops.reshape(x, self.shape)))

    def get_config(self):
        return {"shape": self.shape}


@pytest.mark.parametrize(
    "shape, make",
    [
        ((5,), lambda r: layers.Dense(9, activity_regularizer=r((-1, 3, 3)))),
        ((5,), lambda r: layers.Dense(9, kernel_regularizer=r((5, 9)))),
        ((4, 5), lambda r: layers.Dense(9, activity_regularizer=r((-1, 9, 1)))),
        ((6, 5), lambda r: layers.Conv1D(9, 3, bias_regularizer=r((9,)))),
        ((6, 5), lambda r: layers.LSTM(9, recurrent_regularizer=r((9, 36)))),
    ],
)
def test_a_regularizer_of_one_size_is_left_out(shape, make):
    layer = make(OfOneSize)
    model = through(layer, layers.Flatten(), layers.Dense(2), shape=shape)
    for weight in layer.weights:
        value = np.array(weight).reshape(*weight.shape[:-1], -1, 9)
        value[..., 2:5] = 0.0
        weight.assign(value.reshape(weight.shape))
    x = inputs_of(model)
    with pytest.warns(UserWarning, match="without its regularizer OfOneSize"):
        small, _ = tf_admm.shrink(model, verbose=0)
    assert small.layers[0].output.shape[-1] == 6
    np.testing.assert_allclose(small(x), model(x), atol=1e-5)
    small.compile("sgd", "mse")
    small.fit(x, np.zeros((len(x), 2)), verbose=0)


@pytest.mark.parametrize(
    "make", [layers.ReLU, lambda **kwargs: layers.Activation("tanh", **kwargs)]
)
def test_nor_is_that_of_a_layer_without_weights(make):
    first = layers.Dense(9)
    behind = make(activity_regularizer=OfOneSize((-1, 3, 3)))
    model = through(first, behind, layers.Dense(2), shape=(5,))
    kernel, bias = first.get_weights()
    kernel[:, :3] = 0.0
    first.set_weights([kernel, bias])
    with pytest.warns(UserWarning, match="without its regularizer OfOneSize"):
        small, _ = tf_admm.shrink(model, verbose=0)
    assert small.layers[0].units == 6
    np.testing.assert_allclose(small(inputs_of(model)), model(inputs_of(model)))


def test_a_regularizer_of_any_size_stays():
    layer = layers.Dense(9, activity_regularizer="l1", kernel_regularizer="l2")
    model = through(layer, layers.Dense(2), shape=(5,))
    kernel, bias = layer.get_weights()
    kernel[:, :3] = 0.0
    layer.set_weights([kernel, bias])
    small, _ = tf_admm.shrink(model, verbose=0)
    assert small.layers[0].units == 6
    assert isinstance(small.layers[0].kernel_regularizer, keras.regularizers.L2)
    assert isinstance(small.layers[0].activity_regularizer, keras.regularizers.L1)


def test_a_small_model_drops_out_in_training():
    model = through(
        layers.Dense(64, "relu", name="a"),
        layers.Dropout(0.5),
        layers.Dense(64, name="b"),
        shape=(8,),
    )
    kill(model.get_layer("a"), [0, 1], 0.0)
    small, _ = check(model)
    x = np.ones((4, 8), "float32")
    assert np.abs(small(x, training=True) - small(x, training=False)).max() > 1e-3


@pytest.mark.parametrize("name", ["super_resolution", "tokens"])
def test_sizes_that_are_open(name):
    import test_channel_groups as graphs

    build, sizes = graphs.CASES[name]
    model = graphs.made(build)
    groups = tf_admm.channel_groups(model, verbose=0)
    assert all(group.macs is None for group in groups)
    samples = graphs.inputs_of(model, size=5)
    groups = tf_admm.channel_groups(model, samples=samples, verbose=0)
    assert all(group.macs is not None for group in groups)
    first = groups.named(next(iter(sizes)))
    graphs.kill(first, [0, 1])
    small, _ = tf_admm.shrink(model, verbose=0)
    assert small.input_shape == model.input_shape
    for size in (4, 9):
        x = graphs.inputs_of(model, size=size)
        np.testing.assert_allclose(np.array(small(x)), np.array(model(x)), atol=1e-5)


STRUCTURES = {
    "tensor": lambda x: x,
    "list": lambda x: [x],
    "tuple": lambda x: (x,),
    "dict": lambda x: {"features": x},
}


@pytest.mark.parametrize("of_outputs", STRUCTURES)
@pytest.mark.parametrize("of_inputs", STRUCTURES)
def test_one_input_or_output_stays_in_its_structure(of_inputs, of_outputs, tmp_path):
    """As in `keras.Model(base.inputs, outputs)`."""
    inputs = keras.Input((8,), name="features")
    outputs = layers.Dense(3)(layers.Dense(16, "relu", name="a")(inputs))
    given = STRUCTURES[of_inputs](inputs), STRUCTURES[of_outputs](outputs)
    model = keras.Model(*given)
    kill(model.get_layer("a"), [0, 1], 0.0)
    small, _ = tf_admm.shrink(model, verbose=0)
    assert small.get_layer("a").units == 14
    keras.tree.assert_same_structure(small.input, given[0])
    keras.tree.assert_same_structure(small.output, given[1])
    x = STRUCTURES[of_inputs](np.ones((4, 8), "float32"))
    found, expected = small.predict(x, verbose=0), model.predict(x, verbose=0)
    keras.tree.assert_same_structure(found, expected)
    for a, b in zip(keras.tree.flatten(found), keras.tree.flatten(expected)):
        np.testing.assert_allclose(a, b, atol=1e-6)
    tf_admm.export.to_tflite(small, tmp_path / "a.tflite", samples=x, sparse=False)
