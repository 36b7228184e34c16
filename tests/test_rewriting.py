"""Files by operators that LiteRT runs faster: the same outputs, and nothing lost."""

import collections

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.interpreter import OpResolverType
from keras import ops

from tf_admm.export import to_tflite
from tf_admm.export.tflite import conversion
from tf_admm.export.tflite import flatbuffer
from tf_admm.export.tflite import rewriting

L = keras.layers
WITHOUT_DELEGATE = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
ROWS = 32


def functional(shape, make):
    x = L.Input(shape)
    return keras.Model(x, make(x))


def prelu(low, high):
    slopes = keras.initializers.RandomUniform(low, high, seed=0)
    return lambda x: L.PReLU(slopes, shared_axes=[1, 2])(x)


def dense(*shape, activation=None):
    return functional(shape, L.Dense(5, activation, bias_initializer="normal"))


def heads(x):
    return L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")(x)


def depthwise(size, **options):
    layer = L.DepthwiseConv2D(size, bias_initializer="normal", **options)
    return lambda: functional((12, 11, 3), layer)


def grouped(groups):
    layer = L.Conv2D(4, 7, padding="same", groups=groups, activation="relu")
    return lambda: functional((12, 11, 4), layer)


#: Name: a model, its dtype, operators that must go, operators that must come.


def normalised(x):
    """What becomes of a layer normalisation some of whose channels are gone."""
    wide = keras.ops.pad(x, [[0, 0], [0, 0], [0, 4]])
    norm = L.LayerNormalization(
        beta_initializer="normal",
        gamma_initializer=keras.initializers.RandomUniform(1, 2),
    )
    return norm(wide)[..., :5]


def later_channels(x):
    return (x * keras.ops.arange(8.0))[..., 3:]


def read_twice(x):
    y = x * keras.ops.arange(8.0)
    return L.Concatenate()([y[..., :5], keras.ops.sin(y)])


CASES = {
    "normalised": (
        lambda: functional((7, 5), normalised),
        "float32",
        {"STRIDED_SLICE"},
        {"PAD": 1, "MEAN": 2},
    ),
    "normalised int8": (
        lambda: functional((7, 5), normalised),
        "int8",
        {"STRIDED_SLICE"},
        {"PAD": 1, "MEAN": 2, "RSQRT": 1},
    ),
    "later channels": (
        lambda: functional((7, 8), later_channels),
        "float32",
        set(),
        {"STRIDED_SLICE": 1},
    ),
    "read twice": (
        lambda: functional((7, 8), read_twice),
        "float32",
        set(),
        {"STRIDED_SLICE": 1, "MUL": 1},
    ),
    "hard swish": (
        lambda: functional((6, 6, 3), ops.hard_swish),
        "int8",
        {"HARD_SWISH"},
        {"MUL": 2, "ADD": 1},
    ),
    "relu": (lambda: functional((6, 6, 3), L.ReLU()), "int8", {"RELU"}, {}),
    "relu6": (lambda: functional((6, 6, 3), L.ReLU(6.0)), "int8", {"RELU6"}, {}),
    "variance": (
        lambda: functional((7, 8), L.LayerNormalization()),
        "int8",
        {"SQUARED_DIFFERENCE"},
        {"SUB": 1},
    ),
    "slopes": (
        lambda: functional((6, 6, 3), prelu(0, 1)),
        "int8",
        {"PRELU"},
        {"MAXIMUM": 1},
    ),
    "steep slopes": (
        lambda: functional((6, 6, 3), prelu(-1, 2)),
        "int8",
        set(),
        {"PRELU": 1},
    ),
    **{
        f"sequence {dtype}": (
            lambda: dense(7, 4),
            dtype,
            {"SHAPE", "GATHER", "RESHAPE", "ADD"},
            {"FULLY_CONNECTED": 1},
        )
        for dtype in ("float32", "float16", "int8")
    },
    "image": (
        lambda: dense(3, 2, 4, activation="relu"),
        "int8",
        {"SHAPE", "RESHAPE", "ADD", "RELU"},
        {"FULLY_CONNECTED": 1},
    ),
    "open length": (
        lambda: dense(None, 4),
        "int8",
        {"SHAPE", "RESHAPE", "ADD"},
        {"FULLY_CONNECTED": 1},
    ),
    "heads": (
        lambda: functional((7, 4), heads),
        "int8",
        {"SHAPE", "ADD"},
        {"FULLY_CONNECTED": 1, "RESHAPE": 1},
    ),
    "7x7": (
        depthwise(7, padding="same", activation="relu"),
        "float32",
        set(),
        {"PAD": 1, "SLICE": 3, "DEPTHWISE_CONV_2D": 3, "ADD": 2, "RELU": 0},
    ),
    "7x7, strides": (
        depthwise(7, strides=2, padding="same"),
        "float32",
        set(),
        {"DEPTHWISE_CONV_2D": 3},
    ),
    "9x5, no bias": (
        depthwise((9, 5), use_bias=False),
        "float32",
        {"PAD"},
        {"DEPTHWISE_CONV_2D": 2},
    ),
    "7x7 of groups": (
        grouped(4),
        "float32",
        {"CONV_2D"},
        {"DEPTHWISE_CONV_2D": 3},
    ),
    "7x7 of wider groups": (grouped(2), "float32", set(), {"CONV_2D": 1}),
    "7x7 apart": (
        depthwise(7, dilation_rate=2, padding="same"),
        "float32",
        set(),
        {"SPACE_TO_BATCH_ND": 1, "DEPTHWISE_CONV_2D": 3},
    ),
    "7x7 of several": (
        depthwise(7, depth_multiplier=2),
        "float32",
        {"SLICE"},
        {"DEPTHWISE_CONV_2D": 1},
    ),
    "5x5": (depthwise(5), "float32", {"SLICE"}, {"DEPTHWISE_CONV_2D": 1}),
    "7x7 of int8": (
        depthwise(7, padding="same", activation="relu"),
        "int8",
        set(),
        {"PAD": 1, "DEPTHWISE_CONV_2D": 3, "ADD": 2, "DEQUANTIZE": 2, "QUANTIZE": 2},
    ),
    "9x5 of int8, no bias": (
        depthwise((9, 5), strides=2, use_bias=False),
        "int8",
        set(),
        {"DEPTHWISE_CONV_2D": 2},
    ),
    "7x7 of int8, apart": (
        depthwise(7, dilation_rate=2, padding="same"),
        "int8",
        set(),
        {"SPACE_TO_BATCH_ND": 1, "DEPTHWISE_CONV_2D": 3},
    ),
    "7x7 of int8, of several": (
        depthwise(7, depth_multiplier=2),
        "int8",
        {"SLICE"},
        {"DEPTHWISE_CONV_2D": 1},
    ),
    "7x7 of groups, int8": (
        grouped(4),
        "int8",
        {"CONV_2D"},
        {"DEPTHWISE_CONV_2D": 3},
    ),
    "7x7 of wider groups, int8": (grouped(2), "int8", {"SLICE"}, {"CONV_2D": 1}),
    "5x5 of int8": (depthwise(5), "int8", {"SLICE"}, {"DEPTHWISE_CONV_2D": 1}),
    "two readers": (
        lambda: functional((7, 4), lambda x: L.Add()([L.Dense(4)(x), L.Dense(4)(x)])),
        "float32",
        {"SHAPE", "RESHAPE"},
        {"FULLY_CONNECTED": 2, "ADD": 1},
    ),
}


def inputs(model):
    shape = [n or 7 for n in model.input.shape[1:]]
    return np.random.default_rng(0).normal(size=(ROWS, *shape)).astype("float32") * 4


def converted(monkeypatch, model, dtype, tmp_path, x):
    """The bytes of the converter's own file, and of the one that is written."""
    own, faster = [], rewriting.faster
    monkeypatch.setattr(
        conversion.rewriting,
        "faster",
        lambda data, **options: own.append(data) or faster(data, **options),
    )
    path = tmp_path / "model.tflite"
    options = {"representative": x} if dtype == "int8" else {}
    to_tflite(model, path, dtype=dtype, sparse=False, samples=x, **options)
    return own[-1], path.read_bytes()


def operators(data):
    model = flatbuffer.read(data)
    names = flatbuffer.operator_names(model)
    found = [names[o.opcodeIndex] for g in model.subgraphs for o in g.operators]
    return collections.Counter(found)


def outputs(data, x, kind=WITHOUT_DELEGATE):
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=kind)
    runner = interpreter.get_signature_runner()
    (name,), (result,) = runner.get_input_details(), runner.get_output_details()
    return runner(**{name: x})[result]


def rms(x):
    return np.sqrt(np.mean(np.square(x)))


@pytest.mark.parametrize("name", CASES)
def test_same_outputs_by_other_operators(monkeypatch, tmp_path, name):
    keras.utils.set_random_seed(0)
    make, dtype, gone, there = CASES[name]
    model = make()
    x = inputs(model)
    own, fast = converted(monkeypatch, model, dtype, tmp_path, x)
    check_tensors(fast)
    found = operators(fast)
    assert not gone & found.keys(), found
    assert {k: found[k] for k in there} == there
    expected = model.predict(x, verbose=0)
    before = rms(outputs(own, x) - expected)
    for kind in (WITHOUT_DELEGATE, OpResolverType.AUTO, OpResolverType.BUILTIN_REF):
        assert rms(outputs(fast, x, kind) - expected) <= 1.25 * before + 1e-6


def masked(mask):
    """Attention written out, with its scores behind a mask."""

    def attention(x):
        q, k, v = (L.Dense(6, name=name)(x) for name in "qkv")
        scores = ops.matmul(q, ops.transpose(k, (0, 2, 1))) / 2.5
        return ops.matmul(ops.softmax(mask(scores)), v)

    return attention


def shared(x, layer):
    """Once in a model, and once in one within it."""
    inner = keras.Input(x.shape[1:])
    return keras.Model(inner, layer(inner))(x) - layer(x * 2.0)


SEVERAL_AXES = {
    "attention": lambda x: L.MultiHeadAttention(2, 4)(x, x),
    "last": L.Softmax(axis=(2, 3)),
    "positions": L.Softmax(axis=(1, 2)),
    "apart": L.Softmax(axis=[-1, 1]),
    "masked": lambda x: L.Softmax((2, 3))(x, mask=np.arange(6) < 4),
    "shared": lambda x: shared(x, L.Softmax((2, 3))),
}
SEEN = np.tril(np.ones((7, 7), "float32"))
MASKED = {
    "causal": lambda x: L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True),
    "added": masked(lambda scores: scores + (1 - SEEN) * -1e9),
    "subtracted": masked(lambda scores: scores - (1 - SEEN) * 1e6),
    "few": masked(lambda scores: scores - (1 - SEEN) * 1e3),
    "half": masked(lambda scores: ops.where(SEEN > 0, scores, -1e4)),
    "chosen": masked(lambda scores: ops.where(SEEN > 0, scores, -1e9)),
}


@pytest.mark.parametrize("name", MASKED)
def test_scores_behind_a_mask_are_numbers_in_int8(monkeypatch, tmp_path, name):
    keras.utils.set_random_seed(0)
    model = functional((7, 8), MASKED[name])
    x = inputs(model) / 4
    own, fast = converted(monkeypatch, model, "int8", tmp_path, x)
    check_tensors(fast)
    expected = model.predict(x, verbose=0)
    assert rms(outputs(own, x) - expected) > 0.2 * rms(expected)
    for kind in (WITHOUT_DELEGATE, OpResolverType.AUTO, OpResolverType.BUILTIN_REF):
        assert rms(outputs(fast, x, kind) - expected) < 0.05 * rms(expected)


def pooled(pool):
    """What is pooled over places that count, and the places that don't as 1.0."""

    def apply(x):
        hidden = L.Dense(6, "tanh")(x)
        return pool(hidden, ops.cast(x[..., 0] < 0.1, "float32"))

    return apply


def weighted(weigh):
    def pool(x, pad):
        scores = L.Dense(1)(x)[..., 0]
        return ops.sum(weigh(3 * scores, pad)[..., None] * x, axis=1)

    return pooled(pool)


def by_columns(x, pad):
    scores = 3 * L.Dense(1)(x) + pad[..., None] * -1e9
    return ops.sum(ops.softmax(scores, axis=1) * x, axis=1)


POOLED = {
    "columns": pooled(by_columns),
    "rows": weighted(lambda scores, pad: ops.softmax(scores + pad * -1e9)),
    "chosen": weighted(lambda s, pad: ops.softmax(ops.where(pad > 0, -1e9, s))),
    "softmax": weighted(lambda s, pad: L.Softmax()(s, mask=ops.equal(pad, 0))),
    "sigmoid": weighted(lambda scores, pad: ops.sigmoid(scores + pad * -1e9)),
    "largest": pooled(lambda x, pad: ops.max(x + pad[..., None] * -1e9, axis=1)),
    "additive": lambda x: L.AdditiveAttention()([x, 2 * x], use_causal_mask=True),
}


@pytest.mark.parametrize("name", POOLED)
def test_what_is_pooled_behind_a_mask_is_in_int8(monkeypatch, tmp_path, name):
    keras.utils.set_random_seed(0)
    model = functional((7, 8), lambda x: L.Dense(3)(POOLED[name](x)))
    x = inputs(model)
    # In each row there is a place that counts.
    x[:, 3, 0] = 1
    own, fast = converted(monkeypatch, model, "int8", tmp_path, x)
    check_tensors(fast)
    expected = model.predict(x, verbose=0)
    # The reference kernels sum int8 to 0, of the converter's own file, too.
    for kind in (WITHOUT_DELEGATE, OpResolverType.AUTO):
        assert rms(outputs(fast, x, kind) - expected) < 0.06 * rms(expected)
    if name != "largest":  # for which the converter's file doesn't run
        assert rms(outputs(own, x) - expected) > 0.1 * rms(expected)


def check_tensors(data):
    """A file holds the tensors that it refers to, and no others."""
    graph = flatbuffer.read(data).subgraphs[0]
    lists = [graph.inputs, graph.outputs]
    lists += [i for o in graph.operators for i in (o.inputs, o.outputs)]
    used = {int(i) for each in lists for i in each} - {-1}
    assert used == set(range(len(graph.tensors)))


def test_nothing_to_gain_is_the_same_file():
    model = functional((6, 6, 3), L.Conv2D(4, 3, activation="relu"))
    data = bytes(tf_lite(model))
    assert rewriting.faster(data) is data


def tf_lite(model):
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def test_variables_are_kept():
    """Operators that nothing reads, but that do something, stay."""
    import tensorflow as tf

    class Counter(tf.Module):
        def __init__(self):
            super().__init__()
            self.count = tf.Variable(tf.zeros((1,)))
            self.dense = tf.Variable(tf.ones((4, 3)))

        @tf.function(input_signature=[tf.TensorSpec((None, 5, 4))])
        def run(self, x):
            self.count.assign_add([1.0])
            return tf.tensordot(x, self.dense, 1) + self.count

    module = Counter()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.run.get_concrete_function()], module
    )
    converter.experimental_enable_resource_variables = True
    data = bytes(converter.convert())
    fast = rewriting.faster(data)
    assert operators(fast)["RESHAPE"] < operators(data)["RESHAPE"]
    runner = Interpreter(model_content=fast).get_signature_runner()
    x = np.ones((2, 5, 4), "float32")
    for count in (1, 2, 3):
        (y,) = runner(x=x).values()
        np.testing.assert_array_equal(y, np.full((2, 5, 3), 4.0 + count))


def test_int8_ends_are_for_other_runtimes(tmp_path):
    """Which have no shapes that are computed, and little memory."""
    make = lambda x: ops.hard_swish(L.Dense(5)(x))  # noqa: E731
    model = functional((7, 4), make)
    path, options = tmp_path / "model.tflite", {"representative": inputs(model)}
    to_tflite(model, path, dtype="int8", io_dtype="int8", sparse=False, **options)
    found = operators(path.read_bytes())
    assert found == {"FULLY_CONNECTED": 1, "HARD_SWISH": 1}


def test_what_disagrees_is_not_taken(monkeypatch, tmp_path):
    model, other = dense(7, 4), dense(7, 4)
    wrong = bytes(tf_lite(other))
    monkeypatch.setattr(conversion.rewriting, "faster", lambda data, **_: wrong)
    path = tmp_path / "model.tflite"
    to_tflite(model, path, sparse=False)
    x = np.random.default_rng(0).normal(size=(ROWS, 7, 4)).astype("float32")
    np.testing.assert_allclose(outputs(path.read_bytes(), x), model(x), atol=1e-5)


def raises(data, **_):
    raise TypeError("a rule met what it had not seen")


@pytest.mark.parametrize("faster", [lambda data, **_: data[:100], raises])
def test_what_breaks_is_not_taken(monkeypatch, tmp_path, faster):
    monkeypatch.setattr(conversion.rewriting, "faster", faster)
    report = to_tflite(dense(7, 4), tmp_path / "model.tflite", sparse=False)
    assert report.max_difference < 1e-5


@pytest.mark.parametrize("io_dtype", ["float32", "int8"])
def test_data_of_one_value_ends_no_process(tmp_path, io_dtype):
    """LiteRT would give up the process on such a file."""
    model, x = functional((7, 8), L.LayerNormalization()), np.ones((4, 7, 8), "float32")
    path, options = tmp_path / "model.tflite", {"dtype": "int8", "io_dtype": io_dtype}
    with pytest.raises(RuntimeError, match="leave .* at one value"):
        to_tflite(model, path, representative=x, sparse=False, **options)
    assert not path.exists()


@pytest.mark.parametrize("shape", [(8,), (7, 8)])
def test_units_that_are_dead_behind_a_relu_end_no_process(tmp_path, shape):
    """XNNPACK would free memory twice, where kernels are shared, or fail."""
    x = keras.Input(shape)
    dead = keras.initializers.Constant(-1e3)
    first, last = L.Dense(2, "relu", bias_initializer=dead), L.Dense(8)
    h = [L.Dense(8)(x), L.Dense(8, "relu")(x)]
    model = keras.Model(x, L.Add()([last(first(each)) for each in h]))
    path = tmp_path / "model.tflite"
    with pytest.raises(RuntimeError, match="leave .* at one value"):
        to_tflite(model, path, representative=inputs(model), dtype="int8", sparse=False)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("name", SEVERAL_AXES)
def test_softmax_over_several_axes_is_one(monkeypatch, tmp_path, name, dtype):
    keras.utils.set_random_seed(0)
    x = keras.Input((3, 4, 5))
    model = keras.Model(x, SEVERAL_AXES[name](L.Dense(6)(x)))
    x = inputs(model)
    own, fast = converted(monkeypatch, model, dtype, tmp_path, x)
    assert operators(own)["SOFTMAX"] == (2 if name == "shared" else 1)
    expected = model.predict(x, verbose=0)
    limit = 1e-5 if dtype == "float32" else 0.1
    assert rms(outputs(fast, x) - expected) <= limit * rms(expected)


def test_sparse_kernels_of_sequences_run_sparse(tmp_path):
    keras.utils.set_random_seed(0)
    model, path = functional((7, 64), L.Dense(96)), tmp_path / "model.tflite"
    kernel = model.layers[-1].kernel
    kept = np.random.default_rng(0).random(kernel.shape) < 0.05
    kernel.assign(kernel * kept)
    report = to_tflite(model, path)
    assert report.fallback is None
    assert operators(path.read_bytes()) == {"FULLY_CONNECTED": 1}
    x = inputs(model)
    expected = model.predict(x, verbose=0)
    for kind in (WITHOUT_DELEGATE, OpResolverType.AUTO):
        received = outputs(path.read_bytes(), x, kind)
        np.testing.assert_allclose(received, expected, atol=1e-5)
