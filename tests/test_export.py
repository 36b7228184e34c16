"""`tf_admm.export.to_tflite`: real conversions, real runtimes."""

import gc
import gzip
import os
import warnings

import keras
import numpy as np
import pytest

from tf_admm.export import inspect
from tf_admm.export import to_tflite
from tf_admm.export.tflite import conversion
from tf_admm.export.tflite import saving
from tf_admm.export.tflite import writing
from tf_admm.export.tflite.signature import Signature

L = keras.layers


@keras.saving.register_keras_serializable(package="test_export")
class Subclassed(keras.Model):
    """Takes a dict and gives a dict, of two outputs of one shape."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.shared = L.Dense(16, activation="relu")
        self.heads = {"up": L.Dense(3), "down": L.Dense(3)}
        self.up, self.down = self.heads["up"], self.heads["down"]

    def call(self, inputs, training=None):
        h = self.shared(inputs["b"]) - self.shared(inputs["a"])
        return {"up": self.up(h), "down": self.down(h)}


def mlp():
    return keras.Sequential(
        [L.Input((32,)), L.Dense(64, activation="relu"), L.Dense(10)]
    )


def lenet():
    return keras.Sequential(
        [
            L.Input((28, 28, 1)),
            L.Conv2D(20, 5, activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(50, 5, activation="relu"),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(500, activation="relu"),
            L.Dropout(0.5),
            L.Dense(10, activation="softmax"),
        ]
    )


def conv1d():
    return keras.Sequential(
        [L.Input((24, 8)), L.Conv1D(16, 3), L.ReLU(), L.Flatten(), L.Dense(4)]
    )


def separable():
    return keras.Sequential(
        [
            L.Input((12, 12, 8)),
            L.DepthwiseConv2D(3),
            L.BatchNormalization(),
            L.SeparableConv2D(16, 3),
            L.Conv2DTranspose(8, 3),
            L.GlobalAveragePooling2D(),
            L.Dense(4),
        ]
    )


def residual():
    x = L.Input((8, 8, 8), name="image")
    h = L.Conv2D(8, 3, padding="same", activation="relu")(x)
    return keras.Model(x, L.Dense(3)(L.GlobalMaxPooling2D()(L.Add()([x, h]))))


def nested():
    x = L.Input((32,))
    inner = keras.Sequential([L.Input((32,)), L.Dense(32, activation="tanh")])
    return keras.Model(x, L.Dense(5)(inner(inner(x))))


def several():
    a, b = L.Input((16,), name="z in"), L.Input((16,), name="A-in")
    h = L.Concatenate()([L.Dense(8)(a), L.Dense(8, activation="relu")(b)])
    return keras.Model([a, b], [L.Dense(3, name="zz")(h), L.Dense(3, name="aa")(h)])


def dicts():
    a, b = L.Input((16,), name="q"), L.Input((16,), name="k")
    h = L.Concatenate()([L.Dense(8)(a), L.Dense(8)(b)])
    head = L.Dense(3)(h)
    outputs = {"z": [L.Dense(3)(h), head], "a": L.Dense(3)(h), "same": head}
    return keras.Model({"q": a, "k": b}, outputs)


def attention():
    x = L.Input((6, 16))
    h = L.LayerNormalization()(x + L.MultiHeadAttention(2, 8)(x, x))
    return keras.Model(x, L.Dense(4)(h))


def lstm():
    return keras.Sequential([L.Input((5, 16)), L.LSTM(32), L.Dense(3)])


def embedding():
    return keras.Sequential(
        [
            L.Input((6,), dtype="int32"),
            L.Embedding(20, 8),
            L.Flatten(),
            L.Dense(16),
        ]
    )


def subclassed():
    model = Subclassed()
    x = np.zeros((2, 16), "float32")
    model({"a": x, "b": x})
    return model


def fixed_batch():
    x = L.Input(batch_shape=(2, 16))
    return keras.Model(x, L.Dense(16)(keras.ops.reshape(x, (2, 4, 4))[:, 0]))


MODELS = [
    mlp,
    conv1d,
    separable,
    residual,
    nested,
    several,
    dicts,
    attention,
    lstm,
    embedding,
    subclassed,
    fixed_batch,
]


def prune(model, sparsity):
    """Zeroes the smallest |w| of each kernel; biases become non-zero."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        w = np.asarray(variable.numpy())
        if w.ndim > 1:
            flat = w.reshape(-1).copy()
            order = np.argsort(np.abs(flat))
            flat[order[: round(sparsity * w.size)]] = 0.0
            variable.assign(flat.reshape(w.shape))
        else:
            variable.assign(w + rng.uniform(0.1, 0.2, w.shape))
    return model


def inputs_of(model, rows):
    """Random inputs unlike those of the library, as a flat list."""
    rng = np.random.default_rng(7)
    signature = Signature(model)
    flat = []
    for shape, dtype in zip(signature.shapes, signature.dtypes):
        x = rng.uniform(-2, 2, (rows, *shape[1:]))
        flat.append(np.abs(x).astype(dtype) if "int" in dtype else x)
    return [x if "int" in str(x.dtype) else x.astype("float32") for x in flat]


def run(data, names, flat, delegate=True):
    """Runs a file in TensorFlow's or LiteRT's interpreter, by names."""
    from ai_edge_litert import interpreter as litert

    kind = (
        litert.OpResolverType.AUTO
        if delegate
        else litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    runner = litert.Interpreter(
        model_content=data, experimental_op_resolver_type=kind
    ).get_signature_runner()
    return runner(**dict(zip(names, flat)))


def stock(model):
    """What the stock converter makes of `model`, asked for sparse storage."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    return converter.convert()


def stock_output(data, x):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=data).get_signature_runner()
    (name,) = runner.get_input_details()
    return runner(**{name: x})["output_0"]


def sparse_tensors(path):
    """An independent oracle: quoted by the interpreter, subgraph by subgraph."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    return [
        detail["name"]
        for graph in range(interpreter.num_subgraphs())
        for detail in interpreter.get_tensor_details(graph)
        if detail["sparsity_parameters"]
    ]


def export(model, path, **kwargs):
    """The report, and the texts of the warnings of `to_tflite`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = to_tflite(model, path, **kwargs)
    return report, [str(w.message) for w in caught if "dense" in str(w.message)]


@pytest.mark.parametrize(
    "build, sparsity",
    [(mlp, 0.0), (several, 0.0), *((build, 0.8) for build in MODELS)],
)
def test_sparse_file_agrees_with_keras(build, sparsity, tmp_path):
    model = prune(build(), sparsity)
    path = tmp_path / "model.tflite"
    report, caught = export(model, path)
    assert len(caught) == (report.fallback is not None)
    assert_agrees(model, path, report)
    if sparsity == 0.0:
        assert report.ratio == 1 and "smaller" in report.fallback
    assert list(report.sparse_tensors) == sparse_tensors(path)
    assert os.listdir(tmp_path) == ["model.tflite"]


def assert_agrees(model, path, report):
    rows = report.batch or 3
    flat = inputs_of(model, rows)
    signature = Signature(model)
    expected = model(signature.pack(flat), training=False)
    expected = keras.tree.flatten_with_path(expected)
    for delegate in (True, False):
        found = run(path.read_bytes(), signature.names, flat, delegate)
        assert len(found) == len(expected)
        for where, y in expected:
            key = "_".join(map(str, where or (0,)))
            name = key if not key[0].isdigit() else f"output_{key}"
            np.testing.assert_allclose(found[name], y, atol=2e-5, rtol=1e-5)


def test_names_of_inputs_and_outputs(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    for build, inputs, outputs in [
        (mlp, ["input_0"], ["output_0"]),
        (several, ["A_in", "z_in"], ["output_0", "output_1"]),
        (dicts, ["k", "q"], ["a", "same", "z_0", "z_1"]),
        (subclassed, ["a", "b"], ["down", "up"]),
    ]:
        to_tflite(build(), tmp_path / "x.tflite", sparse=False)
        interpreter = Interpreter(model_path=str(tmp_path / "x.tflite"))
        signature = interpreter.get_signature_list()["serving_default"]
        assert sorted(signature["inputs"]) == inputs
        assert sorted(signature["outputs"]) == outputs


def test_inputs_and_outputs_are_not_mixed_up(tmp_path):
    model = several()
    path = tmp_path / "x.tflite"
    to_tflite(model, path, sparse=False)
    z, a = inputs_of(model, 3)
    found = run(path.read_bytes(), ["z_in", "A_in"], [z, a])
    zz, aa = model([z, a])
    np.testing.assert_allclose(found["output_0"], zz, atol=1e-5)
    np.testing.assert_allclose(found["output_1"], aa, atol=1e-5)
    assert np.abs(zz - aa).max() > 0.1


def test_lenet_at_the_papers_sparsity(tmp_path):
    model = prune(lenet(), 0.9865)
    path = tmp_path / "lenet.tflite"
    report, caught = export(model, path)
    assert not caught and report.fallback is None
    assert_agrees(model, path, report)
    assert report.batch is None
    assert report.ratio > 35
    assert len(report.sparse_tensors) == 4
    assert list(report.sparse_tensors) == sparse_tensors(path)
    data = path.read_bytes()
    assert report.path == str(path)
    assert report.bytes == os.path.getsize(path)
    assert report.gzip_bytes == len(gzip.compress(data, 9))
    dense = to_tflite(model, tmp_path / "dense.tflite", sparse=False)
    assert dense.fallback is None and dense.sparse_tensors == ()
    assert report.dense_bytes == dense.bytes == dense.dense_bytes
    assert report.dense_gzip_bytes == dense.gzip_bytes
    for value in (report.path, f"{report.bytes:,}", f"{report.ratio:.2f}"):
        assert value in str(report)


@pytest.mark.parametrize("kind", ["recurrent", "of the others", "of no row"])
def test_outputs_of_single_rows(kind):
    """Whether all rows are computed at once or not."""
    inputs = keras.Input((5, 3))
    outputs = {
        "recurrent": lambda: L.Dense(2)(L.GRU(4)(inputs)),
        "of the others": lambda: inputs - keras.ops.mean(inputs, axis=0),
        "of no row": lambda: keras.ops.sum(inputs, axis=(0, 1)),
    }[kind]()
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(6, 5, 3)).astype("float32")
    found, _ = conversion.cases(model, Signature(model), [x], 1)
    assert len(found) == len(x)
    for row, ((given,), (y,)) in zip(x, found):
        np.testing.assert_array_equal(given, row[None])
        np.testing.assert_allclose(y, model(row[None]), atol=1e-5)


def test_batch_sizes(tmp_path):
    called = keras.Sequential([L.Dense(4)])
    called(np.zeros((2, 8), "float32"))
    for model, batch in [
        (mlp(), None),
        (called, None),
        (fixed_batch(), 2),
        (lstm(), 1),
    ]:
        report = to_tflite(model, tmp_path / "x.tflite", sparse=False)
        assert report.batch == batch


def test_samples_give_the_inputs_of_a_subclassed_model(tmp_path):
    class Tokens(keras.Model):
        def __init__(self):
            super().__init__()
            self.table, self.head = L.Embedding(50, 4), L.Dense(3)

        def call(self, ids):
            return self.head(self.table(ids))

    model = Tokens()
    ids = np.arange(40, dtype="int32").reshape(5, 8)
    model(ids)
    path = tmp_path / "x.tflite"
    to_tflite(model, path, sparse=False, samples=ids)
    (found,) = run(path.read_bytes(), ["input_0"], [ids]).values()
    np.testing.assert_allclose(found, model(ids), atol=1e-5)


def test_several_positional_inputs_are_refused(tmp_path):
    class Two(keras.Model):
        def call(self, x, y):
            return x + y

    model = Two()
    model(np.zeros((2, 8), "float32"), np.zeros((2, 8), "float32"))
    with pytest.raises(ValueError, match="one structure of inputs"):
        to_tflite(model, tmp_path / "x.tflite")


@pytest.mark.parametrize("columns", [10, 30, 101])
def test_the_stock_converter_drops_columns(columns, tmp_path):
    """Of kernels that it takes for blocks of 4, all beyond the last whole block."""
    # Weights of the columns that are dropped must be among the few kept.
    keras.utils.set_random_seed(0)
    layer = L.Dense(128)
    model = prune(keras.Sequential([L.Input((columns,)), layer]), 0.98)
    x = inputs_of(model, 4)[0]
    expected = model(x).numpy()
    wrong = stock_output(stock(model), x)
    assert np.abs(wrong - expected).max() > 1e-3

    path = tmp_path / "model.tflite"
    # Zero where the columns are dropped: no comparison would show it.
    samples = inputs_of(model, 4)[0]
    samples[:, columns // 4 * 4 :] = 0.0
    report, caught = export(model, path, samples=samples)
    assert not caught and report.fallback is None
    assert report.ratio > 1.5 and len(report.sparse_tensors) == 1
    assert_agrees(model, path, report)


# The sparse encodings.


def operators(path):
    """Names and versions of the operators, by the schema, and what is sparse."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    codes = [model.operatorCodes[o.opcodeIndex] for o in model.subgraphs[0].operators]
    names = {v: k for k, v in vars(schema.BuiltinOperator).items()}
    forms = [
        (tuple(map(int, t.shape)), len(t.sparsity.dimMetadata))
        for graph in model.subgraphs
        for t in graph.tensors
        if t.sparsity is not None
    ]
    return [(names[c.builtinCode], c.version) for c in codes], sorted(forms)


def test_dense_layers_run_sparse(tmp_path):
    path = tmp_path / "model.tflite"
    model = prune(mlp(), 0.8)
    report, _ = export(model, path)
    found, forms = operators(path)
    assert found == [("FULLY_CONNECTED", 8)] * 2
    assert forms == [((10, 64), 2), ((64, 32), 2)]
    assert_agrees(model, path, report)


def test_blocks_are_stored_as_blocks(tmp_path):
    model = keras.Sequential([L.Input((64,)), L.Dense(32, use_bias=False)])
    mask = np.random.default_rng(0).random((16, 32)) < 0.2
    model.layers[0].kernel.assign(
        model.layers[0].kernel * np.repeat(mask, 4, axis=0).astype("float32")
    )
    path = tmp_path / "model.tflite"
    report, _ = export(model, path)
    assert operators(path) == ([("FULLY_CONNECTED", 8)], [((32, 64), 3)])
    assert_agrees(model, path, report)


def test_convolutions_are_made_dense_as_the_file_is_loaded(tmp_path):
    path = tmp_path / "model.tflite"
    model = prune(lenet(), 0.95)
    report, _ = export(model, path)
    found, forms = operators(path)
    assert [name for name, _ in found[:2]] == ["DENSIFY", "DENSIFY"]
    assert found.count(("FULLY_CONNECTED", 8)) == 2
    assert [len(axes) for axes, _ in forms].count(4) == 2
    assert_agrees(model, path, report)


def test_only_what_is_smaller_is_sparse(tmp_path):
    """A layer of 10 % zeros beside one of 90 %."""
    model = keras.Sequential([L.Input((64,)), L.Dense(64), L.Dense(64)])
    for layer, sparsity in zip(model.layers, (0.1, 0.9)):
        prune(keras.Sequential([layer]), sparsity)
    path = tmp_path / "model.tflite"
    report, caught = export(model, path)
    assert not caught and len(report.sparse_tensors) == 1
    assert [version for _, version in operators(path)[0]] == [1, 8]
    assert_agrees(model, path, report)


@pytest.mark.parametrize("sparsity", [0.9, pytest.param(1.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "layer, shape",
    [
        (L.Conv1D(8, 3), (9, 7)),
        pytest.param(
            L.Conv2D(8, 3, dilation_rate=2), (9, 9, 7), marks=pytest.mark.slow
        ),
        (L.Conv2D(8, 3, groups=2), (9, 9, 6)),
        (L.Conv2DTranspose(8, 3, strides=2), (5, 5, 7)),
        (L.DepthwiseConv2D(5, depth_multiplier=2), (9, 9, 16)),
        pytest.param(L.Conv3D(8, 3), (5, 5, 5, 3), marks=pytest.mark.slow),
        (L.EinsumDense("abc,cde->abde", (None, 4, 8)), (3, 16)),
        (L.Dense(33), (3, 31)),
        pytest.param(L.GRU(12), (4, 9), marks=pytest.mark.slow),
        (L.Bidirectional(L.LSTM(12, return_sequences=True)), (4, 9)),
    ],
)
def test_kernels_of_all_kinds(layer, shape, sparsity, tmp_path):
    model = keras.Sequential(
        [L.Input(shape), type(layer).from_config(layer.get_config())]
    )
    prune(model, sparsity)
    path = tmp_path / "model.tflite"
    report, _ = export(model, path)
    assert report.fallback is None and report.ratio > 1
    assert_agrees(model, path, report)


def test_encoding_takes_time_in_proportion_to_the_layers():
    """Calls, since times are not to be relied upon: four times the layers."""
    import cProfile
    import pstats

    import tensorflow as tf

    from tf_admm.export.tflite import encoder

    calls = []
    for layers in (10, 40):
        stack = [L.Input((16,)), *(L.Dense(16) for _ in range(layers))]
        model = prune(keras.Sequential(stack), 0.9)
        data = tf.lite.TFLiteConverter.from_keras_model(model).convert()
        with cProfile.Profile() as profile:
            encoder.encode(data)
        calls.append(pstats.Stats(profile).total_calls)
    assert 2 < calls[1] / calls[0] < 4.2


def test_a_kernel_used_twice_is_stored_once(tmp_path):
    x = L.Input((64,))
    shared = L.Dense(64)
    model = prune(keras.Model(x, shared(L.ReLU()(shared(x)))), 0.9)
    path = tmp_path / "model.tflite"
    report, _ = export(model, path)
    assert_agrees(model, path, report)
    assert report.ratio > 3


def test_data_is_aligned_as_the_format_asks(tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    path = tmp_path / "model.tflite"
    export(prune(lenet(), 0.95), path)
    data = np.frombuffer(path.read_bytes(), "uint8")
    model = schema.Model.GetRootAs(data, 0)
    arrays = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength())]
    starts = [
        a.__array_interface__["data"][0] - data.__array_interface__["data"][0]
        for a in arrays
        if isinstance(a, np.ndarray) and len(a)
    ]
    assert len(starts) > 8 and not any(start % 16 for start in starts)


def head(keepdims):
    """A head that is a 1x1 convolution, or a Dense layer."""
    x = L.Input((8, 8, 16))
    y = L.Conv2D(32, 1, activation="relu")(x)
    y = L.GlobalAveragePooling2D(keepdims=keepdims)(y)
    y = L.Flatten()(L.Conv2D(4, 1)(y)) if keepdims else L.Dense(4)(y)
    return prune(keras.Model(x, y), 0.9)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_what_fails_without_avx_is_warned_of(keepdims, dtype, tmp_path):
    representative = None
    if dtype == "int8":
        rng = np.random.default_rng(0)
        representative = rng.normal(size=(8, 8, 8, 16)).astype("float32")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        to_tflite(
            head(keepdims),
            tmp_path / "model.tflite",
            dtype=dtype,
            representative=representative,
        )
    texts = [str(w.message) for w in caught if "AVX" in str(w.message)]
    assert len(texts) == (keepdims and dtype != "int8")


# What a file stores.


def test_inspection(tmp_path):
    model, path = prune(lenet(), 0.95), tmp_path / "model.tflite"
    report, _ = export(model, path)
    found = inspect(path)
    assert found.bytes == report.bytes
    assert sum(c.bytes for c in found.constants) < report.bytes
    kernels = {c.shape: c for c in found.constants if len(c.shape) > 1}
    for weight in model.weights:
        if len(weight.shape) == 4:
            shape = tuple(weight.shape[i] for i in (3, 0, 1, 2))
        elif len(weight.shape) == 2:
            shape = (weight.shape[1], weight.shape[0])
        else:
            continue
        constant = kernels[shape]
        assert constant.encoding == "compressed rows"
        assert constant.dtype == "float32"
        expected = np.mean(np.array(weight) == 0)
        assert constant.zeros == pytest.approx(expected, abs=1e-6)
    from rich.console import Console

    Console(width=120).print(found)


def test_inspection_of_a_dense_file(tmp_path):
    path = tmp_path / "model.tflite"
    to_tflite(prune(mlp(), 0.5), path, sparse=False)
    assert {c.encoding for c in inspect(path).constants} == {"dense"}


def test_inspection_of_kernels_of_zeros_only(tmp_path):
    path = tmp_path / "model.tflite"
    report, _ = export(prune(lenet(), 1.0), path)
    found = [c for c in inspect(path).constants if c.encoding != "dense"]
    assert len(found) == len(report.sparse_tensors) == 4
    assert {c.zeros for c in found} == {1.0}


@pytest.mark.parametrize("data", [b"", b"nothing", b"\x1c\0\0\0TFL3" + b"\xff" * 64])
def test_inspection_of_no_tflite_file(data, tmp_path):
    path = tmp_path / "broken.tflite"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="Expected a TFLite file.*broken.tflite"):
        inspect(path)
    with pytest.raises(OSError):
        inspect(tmp_path / "missing.tflite")


def test_samples_are_what_is_compared(tmp_path):
    x = L.Input((4,))
    model = keras.Model(x, L.Dense(2)(keras.ops.log(x)))
    path = tmp_path / "model.tflite"
    with pytest.raises(ValueError, match="finite.*`samples`"):
        to_tflite(model, path)
    samples = np.full((3, 4), 2.0)
    assert to_tflite(model, path, sparse=False, samples=samples).bytes
    assert path.exists()


def test_mixed_precision_computes_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = prune(lstm(), 0.5)
    finally:
        keras.config.set_dtype_policy("float32")
    policies = [layer.dtype_policy.name for layer in model.layers]
    path = tmp_path / "model.tflite"
    report = to_tflite(model, path, sparse=False)
    assert [layer.dtype_policy.name for layer in model.layers] == policies
    assert policies == ["mixed_float16"] * 2
    reference = lstm()
    reference.set_weights(model.get_weights())
    assert_agrees(reference, path, report)
    x = inputs_of(model, 1)
    (found,) = run(path.read_bytes(), ["input_0"], x).values()
    np.testing.assert_allclose(found, model(x[0]), atol=2e-2)


def test_existing_file_survives_a_failing_conversion(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"precious")
    x = L.Input((8,))
    model = keras.Model(x, keras.ops.erfinv(keras.ops.tanh(x)))
    with pytest.raises(RuntimeError, match="Erfinv.*Nothing was written") as info:
        to_tflite(model, path)
    assert info.value.__cause__ is not None
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_existing_file_survives_a_wrong_dense_file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"precious")
    x = L.Input((8,))
    # Never twice the same, so that no file can agree with it.
    noise = L.Lambda(lambda x: x + keras.random.normal((8,)))
    with pytest.raises(RuntimeError, match="agrees with it"):
        to_tflite(keras.Model(x, noise(x)), path)
    assert path.read_bytes() == b"precious"


def test_existing_file_survives_a_failing_disk(tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"precious")

    def fail(*_):
        raise OSError("disk")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(writing.os, name, fail)
            with pytest.raises(OSError, match="disk"):
                to_tflite(mlp(), path, sparse=False)
        assert path.read_bytes() == b"precious"
        assert os.listdir(tmp_path) == ["model.tflite"]


def test_existing_file_is_replaced(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")
    report = to_tflite(mlp(), path, sparse=False)
    assert os.path.getsize(path) == report.bytes > 3


class Unbuilt(keras.Model):
    pass


@pytest.mark.parametrize(
    "model, path, error, message",
    [
        (lambda: "model", "a.tflite", TypeError, "`keras.Model`.*'model'"),
        (lambda: L.Dense(3), "a.tflite", TypeError, "`keras.Model`"),
        (Unbuilt, "a.tflite", ValueError, "a built model"),
        (mlp, "", ValueError, "to name a file"),
        (mlp, "folder", ValueError, "to name a file"),
        (mlp, "missing/a.tflite", ValueError, "to exist"),
        (mlp, 3, TypeError, "string or a path. Received: path=3"),
    ],
)
def test_bad_model_or_path(model, path, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(error, match=message):
        to_tflite(model(), path)
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="there is no /proc")
def test_read_only_folder():
    """One that takes no files even of a superuser, whatever its permissions say."""
    with pytest.raises(ValueError, match="to be writable"):
        to_tflite(mlp(), "/proc/a.tflite")


@pytest.mark.parametrize(
    "build, samples, message",
    [
        (mlp, np.zeros((4, 31)), "shapes"),
        (mlp, np.zeros((0, 32)), "rows"),
        (mlp, {"x": np.zeros((4, 32))}, "structure"),
        (several, [np.zeros((4, 16)), np.zeros((3, 16))], "rows"),
        (several, [np.zeros((4, 16))], "structure"),
        (fixed_batch, np.zeros((3, 16)), "multiple"),
    ],
)
def test_bad_samples(build, samples, message, tmp_path):
    with pytest.raises(ValueError, match=f"Expected `samples`.*{message}"):
        to_tflite(build(), tmp_path / "a.tflite", samples=samples)
    assert os.listdir(tmp_path) == []


def test_files_that_share_a_saved_model_are_the_same(tmp_path):
    """And one of a model that has changed since is not of the old one."""
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    representative = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    kinds = {"float32": {}, "float16": {}, "int8": {"representative": representative}}

    def files():
        for dtype, options in kinds.items():
            path = tmp_path / "model.tflite"
            to_tflite(model, path, dtype=dtype, sparse=False, **options)
            yield path.read_bytes()

    alone = list(files())
    with saving.sharing():
        assert list(files()) == alone
    model.layers[0].bias.assign(np.ones(4))
    assert all(a != b for a, b in zip(files(), alone))


def test_a_ctrl_c_that_python_loses_stops(tmp_path):
    """The converter collects garbage; what is raised there, Python ignores."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    path = tmp_path / "model.tflite"
    path.write_bytes(b"before")

    def stopped(phase, info):
        gc.callbacks.remove(stopped)
        raise KeyboardInterrupt

    gc.disable()
    gc.callbacks.append(stopped)
    try:
        with pytest.raises(KeyboardInterrupt):
            to_tflite(model, path)
    finally:
        gc.enable()
    assert stopped not in gc.callbacks
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == [path.name]
