"""float16 and int8 files, and the stock converter's faults beside ours."""

import os

import keras
import numpy as np
import pytest
import test_export
from sweeps import few
from test_export import export
from test_export import prune
from test_export import run
from test_export import sparse_tensors

from tf_admm.export import to_tflite
from tf_admm.export.tflite import runtime
from tf_admm.export.tflite.signature import Signature
from tf_admm.export.tflite.signature import output_names

L = keras.layers


def random(model, rows=64):
    """The same rows each time: int8 knows no values beyond those it was shown."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(rows, *model.input_shape[1:])).astype("float32")


def written(model, path, dtype):
    representative = random(model) if dtype == "int8" else None
    return export(model, path, dtype=dtype, representative=representative)


def outputs(path, x):
    """With and without the default delegate."""
    data = path.read_bytes()
    return [run(data, ["input_0"], [x], d)["output_0"] for d in (True, False)]


LAYERS = [
    (L.Dense(64), (96,)),
    (L.Dense(24), (5, 33)),
    (L.Conv1D(16, 3), (9, 16)),
    (L.Conv2D(16, 3, activation="relu"), (6, 6, 16)),
    (L.Conv2D(64, 1), (6, 6, 64)),
    (L.Conv2DTranspose(16, 3), (6, 6, 16)),
    (L.DepthwiseConv2D(5), (9, 9, 64)),
    (L.SeparableConv2D(32, 3), (9, 9, 32)),
    (L.Conv3D(16, 3), (5, 5, 5, 8)),
    (L.EinsumDense("abc,cde->abde", (None, 4, 8)), (3, 16)),
]


slow = pytest.mark.slow
#: Some layers with each of the value types; the others are among the slow tests.
TYPED = [
    pytest.param(*layer, *dtype, marks=() if i % 8 == 4 * j else slow)
    for i, layer in enumerate(LAYERS)
    for j, dtype in enumerate([("int8", 0.05), ("float16", 2e-3)])
]


@pytest.mark.parametrize("layer, shape, dtype, tolerance", TYPED)
def test_file_agrees_with_keras(layer, shape, dtype, tolerance, tmp_path):
    keras.utils.set_random_seed(0)
    layer = type(layer).from_config(layer.get_config())
    model = prune(keras.Sequential([L.Input(shape), layer]), 0.95)
    path = tmp_path / "model.tflite"
    report, caught = written(model, path, dtype)
    assert len(caught) == (report.fallback is not None)
    assert list(report.sparse_tensors) == sparse_tensors(path)
    x = random(model, 8)
    expected = model(x).numpy()
    for found in outputs(path, x):
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()
    # Sparse storage changes nothing: the same as the dense file of this dtype.
    sparse = outputs(path, x)
    representative = random(model) if dtype == "int8" else None
    to_tflite(model, path, sparse=False, dtype=dtype, representative=representative)
    step = tolerance / 4 * np.abs(expected).max()
    for found, dense in zip(sparse, outputs(path, x)):
        np.testing.assert_allclose(found, dense, atol=step)


@pytest.mark.slow
def test_sizes_of_lenet(tmp_path):
    model = prune(test_export.lenet(), 0.9865)
    sizes = {}
    for dtype in ("float32", "float16", "int8"):
        report, caught = written(model, tmp_path / f"{dtype}.tflite", dtype)
        assert not caught
        sizes[dtype] = report.bytes
        assert report.dtype == dtype and dtype in str(report)
    assert sizes["float16"] < 0.8 * sizes["float32"] < 45_000


# Inputs and outputs in int8.


def normal(*shape):
    return np.random.default_rng(0).normal(size=(64, *shape)).astype("float32")


ROWS = normal(32)
INT8 = {
    "dense": (test_export.mlp, ROWS),
    "convolutions": (test_export.separable, normal(12, 12, 8)),
    "residual": (test_export.residual, normal(8, 8, 8)),
    "several": (test_export.several, [normal(16), normal(16)]),
    "dicts": (test_export.dicts, {"q": normal(16), "k": normal(16)}),
    "fixed batch": (test_export.fixed_batch, normal(16)),
    "tokens": (test_export.embedding, np.arange(192).reshape(32, 6) % 20),
}


@pytest.mark.parametrize("sparse", few([False, True], False))
@pytest.mark.parametrize("name", few(INT8, "residual", "dicts", "tokens"))
def test_inputs_and_outputs_in_int8(name, sparse, tmp_path):
    """Quantised by hand here, by the scales that the interpreter quotes."""
    from ai_edge_litert.interpreter import Interpreter

    build, rows = INT8[name]
    keras.utils.set_random_seed(0)
    model = prune(build(), 0.8)
    path = tmp_path / "a.tflite"
    report, _ = export(
        model, path, dtype="int8", io_dtype="int8", representative=rows, sparse=sparse
    )
    runner = Interpreter(str(path)).get_signature_runner()
    sources, results = runner.get_input_details(), runner.get_output_details()
    whole = {d["dtype"] for d in (*sources.values(), *results.values())}
    assert whole == ({np.int8, np.int32} if name == "tokens" else {np.int8})
    signature = Signature(model)
    flat = [x[: report.batch or 2] for x in signature.flatten(rows)]
    given = dict(zip(signature.names, flat))
    for key, source in sources.items():
        if source["dtype"] == np.int8:
            scale, zero = source["quantization"]
            q = np.round(given[key] / scale) + zero
            given[key] = np.clip(q, -128, 127).astype("int8")
    received = runner(**given)
    expected = model(signature.pack(flat))
    names = output_names(keras.tree.map_structure(np.array, expected))
    for key, y in zip(names, keras.tree.flatten(expected)):
        scale, zero = results[key]["quantization"]
        found = (received[key].astype("float64") - zero) * scale
        assert np.abs(found - y).max() <= max(0.06 * np.abs(y).max(), 2 * scale)


def test_what_stays_float32_is_no_int8_file(tmp_path):
    model = keras.Sequential([L.Input((4,)), L.Flatten()])
    with pytest.raises(RuntimeError, match="leaves inputs and outputs in float32"):
        to_tflite(
            model,
            tmp_path / "a.tflite",
            dtype="int8",
            io_dtype="int8",
            representative=normal(4),
        )
    assert os.listdir(tmp_path) == []


# The stock converter's faults: wrong or refused there, right here.


def stock(model, optimizations, types=(), int8=False):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [getattr(tf.lite.Optimize, o) for o in optimizations]
    converter.target_spec.supported_types = list(types)
    if int8:
        x = random(model)
        converter.representative_dataset = lambda: ([x[i : i + 1]] for i in range(32))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def stock_output(data, x):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    (source,), (result,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    interpreter.resize_tensor_input(source["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(result["index"])


def dense_layer(sparsity):
    keras.utils.set_random_seed(0)
    return prune(keras.Sequential([L.Input((256,)), L.Dense(128)]), sparsity)


def assert_ours_is_right(model, path, dtype, tolerance):
    report, _ = written(model, path, dtype)
    x = random(model, 8)
    expected = model(x).numpy()
    for found in outputs(path, x):
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()
    return report


def test_float16_blocks_come_out_as_nan(tmp_path):
    import tensorflow as tf

    model = dense_layer(0.98)
    data = stock(model, ["DEFAULT", "EXPERIMENTAL_SPARSITY"], [tf.float16])
    assert not np.isfinite(stock_output(data, random(model, 8))).all()
    report = assert_ours_is_right(model, tmp_path / "a.tflite", "float16", 2e-3)
    assert report.sparse_tensors and report.bytes < len(data)


@pytest.mark.parametrize("sparsity", [0.9, 0.99])
def test_dynamic_range_is_wrong_or_does_not_run(sparsity, tmp_path):
    model = dense_layer(sparsity)
    data = stock(model, ["DEFAULT", "EXPERIMENTAL_SPARSITY"])
    x = random(model, 8)
    expected = model(x).numpy()
    try:
        found = stock_output(data, x)
    except RuntimeError as error:
        assert "delegate" in str(error) or "FULLY_CONNECTED" in str(error)
    else:
        assert np.abs(found - expected).max() > 0.3 * np.abs(expected).max()
    assert_ours_is_right(model, tmp_path / "a.tflite", "int8", 0.05)


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_int8_behind_a_densify_does_not_run(tmp_path):
    model = dense_layer(0.9)
    data = stock(model, ["DEFAULT", "EXPERIMENTAL_SPARSITY"], int8=True)
    with pytest.raises(RuntimeError):
        stock_output(data, random(model, 8))
    assert_ours_is_right(model, tmp_path / "a.tflite", "int8", 0.05)


def test_a_batch_of_more_rows_than_are_compared(tmp_path):
    model = keras.Sequential([keras.Input(batch_shape=(96, 8)), L.Dense(4)])
    x = np.random.default_rng(0).normal(size=(192, 8)).astype("float32")
    report = to_tflite(
        model, tmp_path / "a.tflite", sparse=False, dtype="int8", representative=x
    )
    assert report.bytes


# Bad input.


def scanned():
    x = L.Input((5, 4))

    def step(total, row):
        return total + row, total

    def scan(x):
        rows = keras.ops.transpose(x, (1, 0, 2))
        return keras.ops.scan(step, keras.ops.zeros_like(rows[0]), rows)[0]

    return keras.Model(x, L.Dense(2)(L.Lambda(scan, output_shape=(4,))(x)))


def nested_loop():
    x = L.Input((5, 16))
    inner = keras.Sequential([L.Input((5, 16)), L.Bidirectional(L.GRU(4))])
    return keras.Model(x, L.Dense(3)(inner(x)))


@pytest.mark.parametrize(
    "build",
    [
        test_export.lstm,
        pytest.param(nested_loop, marks=slow),
        pytest.param(scanned, marks=slow),
    ],
)
def test_loops_have_no_int8(build, tmp_path):
    """The converter's calibration of a loop ends the process."""
    model = build()
    with pytest.raises(RuntimeError, match="int8 is not supported for a model with l"):
        written(model, tmp_path / "a.tflite", "int8")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "layer", [L.SimpleRNN, *(pytest.param(x, marks=slow) for x in (L.GRU, L.LSTM))]
)
def test_unrolled_layers_have_int8(layer, tmp_path):
    """Each step adds operators to the file, and no weights."""
    bytes_of = {}
    for steps in (4, 8):
        keras.utils.set_random_seed(0)
        recurrent, x = layer(96, unroll=True), L.Input((steps, 8))
        model = keras.Model(x, L.Dense(4)(recurrent(x)))
        path, rows = tmp_path / "a.tflite", random(model, 64)
        to_tflite(model, path, sparse=False, dtype="int8", representative=rows)
        bytes_of[steps] = path.stat().st_size
        expected = model(rows[:1]).numpy()
        for found in outputs(path, rows[:1]):
            assert np.abs(found - expected).max() <= 0.1 * np.abs(expected).max()
    weights = 96 * recurrent.cell.recurrent_kernel.shape[1]
    assert weights < bytes_of[4] and bytes_of[8] - bytes_of[4] < 4 * weights


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"dtype": "int4"}, "`dtype`. Expected one of.*Received: dtype='int4'"),
        ({"dtype": "int8"}, "`representative` inputs for dtype='int8'"),
        (
            {"dtype": "float16", "representative": np.zeros((4, 32), "float32")},
            "and for no other.*dtype='float16'",
        ),
        (
            {"dtype": "int8", "representative": np.zeros((4, 31), "float32")},
            "Expected `representative` to be arrays",
        ),
        ({"io_dtype": "int8"}, "`io_dtype='int8'` with dtype='int8' only"),
        (
            {"dtype": "float16", "io_dtype": "int8"},
            "with dtype='int8' only. Received: io_dtype='int8', dtype='float16'",
        ),
        (
            {"dtype": "int8", "representative": ROWS, "io_dtype": "uint8"},
            "`io_dtype`. Expected one of.*Received: io_dtype='uint8'",
        ),
    ],
)
def test_bad_input(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        to_tflite(test_export.mlp(), tmp_path / "a.tflite", **arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"dtype": 8}, "`dtype` to be a string. Received: dtype=8"),
        ({"io_dtype": None}, "`io_dtype` to be a string. Received: io_dtype=None"),
        ({"select_tf_ops": "yes"}, "`select_tf_ops` to be True or False"),
        ({"sparse": 1}, "`sparse` to be True or False. Received: sparse=1"),
    ],
)
def test_arguments_of_a_wrong_kind(arguments, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        to_tflite(test_export.mlp(), tmp_path / "a.tflite", **arguments)
    assert os.listdir(tmp_path) == []


ONE_HOT = np.eye(50)[np.arange(200) % 50]


@pytest.mark.parametrize(
    "change, agrees",
    [
        (lambda y: y, True),
        (lambda y: np.where(np.arange(200)[:, None] == 3, 0.5 * y, y), True),
        (lambda y: np.where(np.arange(200)[:, None] < 100, 0.5 * y, y), False),
        (lambda y: np.full_like(y, 0.02), False),
        (lambda y: 0 * y, False),
        (lambda y: -y, False),
        (lambda y: y[::-1], False),
        (lambda y: np.where(y > 2, y, np.nan), False),
        (lambda y: y[:, :10], False),
    ],
    ids="same one half even zeros negative reversed nan narrow".split(),
)
def test_int8_is_compared_on_average_too(change, agrees):
    """One probability that is far off is no fault; what is garbage stays one."""
    given = change(ONE_HOT), ONE_HOT, 0.25
    assert runtime.compared(*given, on_average=True).agrees == agrees
    exactly = change(ONE_HOT) is ONE_HOT
    assert runtime.compared(*given).agrees == exactly
