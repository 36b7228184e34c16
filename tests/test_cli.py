"""The command `tf-admm`, called as its entry point is."""

import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tf_admm_cli.commands import SUMMARIES
from tf_admm_cli.main import main

L = keras.layers
TF_ADMM = pathlib.Path(sys.executable).with_name("tf-admm")
ROWS, CLASSES = 120, 3
OWN = """
import keras
print("my_layers is imported")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x
def half(x):
    return x / 2
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder of models and data, trained a little."""
    folder = tmp_path_factory.mktemp("cli")
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 4)).astype("float32")
    y = np.digitize(x.sum(axis=1), [-1, 1])
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x[:30], y_test=y[:30])
    np.savez(folder / "far.npz", x=x, y=y + 1)
    np.savez(folder / "nan.npz", x=np.where(x > 2, np.nan, x), y=y)
    np.savez(folder / "narrow.npz", x=x[:, :3], y=y)
    np.savez(folder / "other.npz", a=x, b=y)
    np.savez(folder / "far_test.npz", x=x, y=y, x_test=x, y_test=y + 1)
    np.savez(folder / "far_val.npz", x=x, y=y, x_val=x, y_val=y - 1)
    np.savez(folder / "few.npz", x=x[:4], y=y[:4])
    (folder / "text.npz").write_text("no archive")
    np.savez(folder / "odd.npz", x=x, y=y[1:])
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    (folder / "torn.npz").write_bytes((folder / "data.npz").read_bytes()[:200])
    (folder / "text.csv").write_text("a,b,c,d,e\n1,2,3,blue,0\n1,2,3,4,1\n")
    (folder / "torn.keras").write_text("no zip file")
    (folder / "torn.tflite").write_text("no flatbuffer")
    (folder / "torn.json").write_text("{")
    (folder / "wrong.json").write_text('{"nowhere": {"Sparsity": {"sparsity": 0.5}}}')
    (folder / "my_layers.py").write_text(OWN)
    (folder / "no_import.py").write_text("import no_such_module")
    (folder / "done").mkdir()
    (folder / "done" / "result.json").write_text("{}")
    (folder / "there.keras").write_text("mine")
    (folder / "there.tflite").write_text("mine")
    (folder / "there.json").write_text("mine")
    (folder / "there.html").write_text("mine")
    model = keras.Sequential(
        [keras.Input((4,)), L.Dense(16, "relu", name="fc1"), L.Dense(3, name="fc2")]
    )
    model.save(folder / "bare.keras")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
    model.fit(x, y, epochs=15, verbose=0)
    model.save(folder / "model.keras")
    layers = [keras.Input((4, 4, 4, 2)), L.MaxPooling3D(2), L.Flatten(), L.Dense(2)]
    keras.Sequential(layers).save(folder / "pooling.keras")
    namespace = {}
    exec(OWN.replace("print", "str"), namespace)
    twice, half = namespace["Twice"](), namespace["half"]
    keras.Sequential([keras.Input((4,)), twice, L.Dense(3, half)]).save(
        folder / "own.keras"
    )
    a, b = keras.Input((1,), name="a"), keras.Input((3,), name="b")
    keras.Model([a, b], L.Dense(3)(L.Concatenate()([a, b]))).save(folder / "two.keras")
    np.savez(folder / "two.npz", a=x[:, :1], b=x[:, 1:], y=y)
    return folder


@pytest.fixture
def here(world, monkeypatch):
    monkeypatch.chdir(world)
    return world


def succeed(capsys, *argv):
    """The JSON that a command prints, and nothing else."""
    code = main([*argv, "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def state(folder):
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


#: The words, the flag or argument that is named, and a part of the rest.
BAD = {
    "plan, no model": (["plan"], "MODEL", "Received: none"),
    "plan, wrong path": (["plan", "no.keras"], "MODEL", "not there"),
    "plan, torn": (["plan", "torn.keras"], "MODEL", "damaged"),
    "plan, too many": (["plan", "model.keras", "x"], "MODEL", "besides: x"),
    "plan, rate": (["plan", "model.keras", "--sparsity=2"], "--sparsity", "[0, 1]"),
    "plan, rate and ratio": (
        ["plan", "model.keras", "--sparsity=0.5", "--ratio=2"],
        "--ratio",
        "Expected one of --sparsity, --ratio, --constraints",
    ),
    "plan, unknown flag": (
        ["plan", "model.keras", "--sparsty=0.5"],
        "--sparsty",
        "Did you mean --sparsity?",
    ),
    "plan, torn sets": (
        ["plan", "model.keras", "--constraints=torn.json"],
        "--constraints",
        "Expected JSON",
    ),
    "plan, no such layer": (
        ["plan", "model.keras", "--constraints=wrong.json"],
        "--constraints",
        "'nowhere'",
    ),
    "plan, own layer": (["plan", "own.keras"], "--import", "`Twice`"),
    "plan, no module": (
        ["plan", "own.keras", "--import=no_module"],
        "--import",
        "No module named 'no_module'",
    ),
    "plan, failing module": (
        ["plan", "own.keras", "--import=no_import"],
        "--import",
        "No module named 'no_such_module'",
    ),
    "inspect, wrong path": (["inspect", "no.tflite"], "FILE", "not there"),
    "inspect, torn": (["inspect", "torn.tflite"], "FILE", "can't be read"),
    "inspect, no file of it": (["inspect", "model.keras"], "FILE", ".tflite"),
    "shrink, there": (
        ["shrink", "model.keras", "--output=there.keras"],
        "--output",
        "--overwrite",
    ),
    "shrink, no folder": (
        ["shrink", "model.keras", "--output=no/small.keras"],
        "--output",
        "can be written",
    ),
    "shrink, ending": (
        ["shrink", "model.keras", "--output=small.h5"],
        "--output",
        ".keras",
    ),
    "export, there": (
        ["export", "model.keras", "--output=there.tflite"],
        "--output",
        "there.tflite",
    ),
    "export, dtype": (
        ["export", "model.keras", "--dtype=int4"],
        "--dtype",
        "float32|float16|int8",
    ),
    "export, int8 alone": (
        ["export", "model.keras", "--dtype=int8"],
        "--representative",
        "--dtype=int8",
    ),
    "export, int8 ends": (
        ["export", "model.keras", "--io_dtype=int8"],
        "--io_dtype",
        "--dtype=float32",
    ),
    "export, narrow rows": (
        ["export", "model.keras", "--dtype=int8", "--representative=narrow.npz"],
        "--representative",
        "(rows, 4)",
    ),
    "allocate, no budget": (["allocate", "model.keras"], "--ratio", "none of them"),
    "allocate, two": (
        ["allocate", "model.keras", "--ratio=2", "--macs=9"],
        "--macs",
        "--ratio, --macs",
    ),
    "allocate, too little": (
        ["allocate", "model.keras", "--nonzeros=2"],
        "--nonzeros",
        "nearest",
    ),
    "allocate, no data": (
        ["allocate", "model.keras", "--ratio=2", "--method=sensitivity"],
        "--method",
        "DATA=none",
    ),
    "allocate, tile": (
        ["allocate", "model.keras", "--ratio=2", "--tile=8"],
        "--tile",
        "--structure=channels",
    ),
    "allocate, there": (
        ["allocate", "model.keras", "--ratio=2", "--output=there.json"],
        "--output",
        "there.json",
    ),
    "prune, no data": (["prune", "model.keras"], "DATA", "MODEL DATA"),
    "prune, wrong path": (["prune", "model.keras", "no.npz"], "DATA", "not there"),
    "prune, torn": (["prune", "model.keras", "torn.npz"], "DATA", "NumPy"),
    "prune, labels": (["prune", "model.keras", "far.npz"], "DATA", "from 1 to 3"),
    "prune, NaN": (["prune", "model.keras", "nan.npz"], "DATA", "NaN or infinity"),
    "prune, shape": (["prune", "model.keras", "narrow.npz"], "DATA", "(120, 3)"),
    "prune, names": (["prune", "model.keras", "other.npz"], "DATA", "Received: a, b"),
    "prune, rows": (["prune", "model.keras", "odd.npz"], "DATA", "119"),
    "prune, one .npy": (["prune", "model.keras", "x.npy"], "DATA", "labels"),
    "prune, two .npz": (
        ["prune", "model.keras", "data.npz", "y.npy"],
        "DATA",
        "one path",
    ),
    "prune, text": (["prune", "model.keras", "text.csv"], "DATA", "'blue' in d, row 1"),
    "prune, column": (
        ["prune", "model.keras", "text.csv", "--target=z"],
        "--target",
        "a, b, c, d, e",
    ),
    "prune, metric": (
        ["prune", "model.keras", "data.npz", "--metric=auc"],
        "--metric",
        "accuracy",
    ),
    "prune, loss": (
        ["prune", "model.keras", "data.npz", "--loss=nonsense"],
        "--loss",
        "nonsense",
    ),
    "prune, own layer": (["prune", "own.keras", "data.npz"], "--import", "`Twice`"),
    "prune, no such layer": (
        ["prune", "model.keras", "data.npz", "--constraints=wrong.json"],
        "--constraints",
        "'nowhere'",
    ),
    "prune, epochs": (
        ["prune", "model.keras", "data.npz", "--admm_epochs=0"],
        "--admm_epochs",
        "positive",
    ),
    "prune, there": (
        ["prune", "model.keras", "data.npz", "--output=there.keras"],
        "--output",
        "--overwrite",
    ),
    "evaluate, no file of it": (
        ["evaluate", "x.npy", "data.npz"],
        "MODEL_OR_TFLITE",
        ".keras or .tflite",
    ),
    "evaluate, torn": (
        ["evaluate", "torn.tflite", "data.npz"],
        "MODEL_OR_TFLITE",
        "LiteRT",
    ),
    "evaluate, metric": (
        ["evaluate", "bare.keras", "data.npz", "--metric=nonsense"],
        "--metric",
        "nonsense",
    ),
    "report, page": (
        ["report", "model.keras", "--html=there.html"],
        "--html",
        "there.html",
    ),
    "report, history": (
        ["report", "model.keras", "--history=no.csv"],
        "--history",
        "not there",
    ),
    "report, no history": (
        ["report", "model.keras", "--history=text.csv", "--html=page.html"],
        "--history",
        "a column 'epoch'",
    ),
    "report, metric": (["report", "model.keras", "--metric=mae"], "DATA", "none"),
    "shrink, no place for files": (
        ["shrink", "model.keras", "--output=/proc/small.keras"],
        "--output",
        "can be written",
    ),
    "compress, done": (
        ["compress", "model.keras", "data.npz", "--output=done"],
        "--output",
        "a run that is done",
    ),
    "compress, below a file": (
        ["compress", "model.keras", "data.npz", "--output=x.npy/out"],
        "--output",
        "can be written",
    ),
    "compress, onto itself": (
        ["compress", "model.keras", "data.npz", "--output=.", "--overwrite"],
        "--output",
        "another folder than that of MODEL",
    ),
    "compress, over what no run wrote": (
        ["compress", "model.keras", "data.npz", "--output=done", "--overwrite"],
        "--output",
        "which no run has written",
    ),
    "compress, labels of a test": (
        ["compress", "model.keras", "far_test.npz"],
        "DATA",
        "from 0 to 2 as labels in the test part of DATA",
    ),
    "compress, labels of validation": (
        ["compress", "model.keras", "far_val.npz", "--dry_run"],
        "DATA",
        "from 0 to 2 as labels in the validation part of DATA",
    ),
    "compress, dry, few rows": (
        ["compress", "model.keras", "few.npz", "--dry_run"],
        "DATA",
        "enough rows",
    ),
    "compress, dry, one epoch": (
        ["compress", "model.keras", "data.npz", "--dry_run", "--epochs=1"],
        "--epochs",
        "at least 2",
    ),
    "compress, dry, structure": (
        ["compress", "model.keras", "data.npz", "--dry_run", "--speed=2"]
        + ["--structure=weights"],
        "--structure",
        "'channels' with speed=2",
    ),
    "compress, dry, too few weights": (
        ["compress", "model.keras", "data.npz", "--dry_run", "--ratio=1e6"],
        "--ratio",
        "a ratio of at most 56",
    ),
    "compress, below one": (
        ["compress", "model.keras", "data.npz", "--ratio=0.5"],
        "--ratio",
        "Expected number >= 1",
    ),
    "prune, infinite": (
        ["prune", "model.keras", "data.npz", "--ratio=inf"],
        "--ratio",
        "a finite number",
    ),
    "prune, no scale": (
        ["prune", "model.keras", "data.npz", "--scale=nan"],
        "--scale",
        "a finite number",
    ),
    "prune, no rho": (
        ["prune", "model.keras", "data.npz", "--rho=much"],
        "--rho",
        "auto, or a number",
    ),
    "prune, no archive": (
        ["prune", "model.keras", "text.npz"],
        "DATA",
        "Received: text.npz",
    ),
    "compress, two goals": (
        ["compress", "model.keras", "data.npz", "--ratio=2", "--bytes=9"],
        "--bytes",
        "--ratio, --bytes",
    ),
    "compress, no number": (
        ["compress", "model.keras", "data.npz", "--max_drop=little"],
        "--max_drop",
        "Expected a number. Received: little",
    ),
    "compress, time": (
        ["compress", "model.keras", "data.npz", "--ratio=2", "--time_limit=1"],
        "--time_limit",
        "max_drop",
    ),
    "compress, test data": (
        ["compress", "model.keras", "data.npz", "--test_data=far.npz"],
        "--test_data",
        "from 1 to 3",
    ),
    "compress, validation data": (
        ["compress", "model.keras", "data.npz", "--validation_data=far.npz"],
        "--validation_data",
        "from 1 to 3",
    ),
}


@pytest.mark.parametrize("words, name, part", BAD.values(), ids=BAD)
def test_bad_input_is_one_line_that_names_the_flag(words, name, part, here, capsys):
    before = state(here)
    assert main(words) == 2
    printed = capsys.readouterr()
    (line,) = [x for x in printed.err.splitlines() if not x.startswith("Note: ")]
    assert line.startswith(f"tf-admm {words[0]}: {name}: ")
    assert part in line
    assert printed.out in ("", "my_layers is imported\n")
    assert state(here) == before


def test_a_command_that_is_not_there(capsys):
    assert main(["compres"]) == 2
    assert "Did you mean compress?" in capsys.readouterr().err


@pytest.mark.parametrize("name", SUMMARIES)
def test_help(name, capsys):
    assert main([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"Usage: tf-admm {name} " in printed and "--json" in printed
    assert main(["--help"]) == 0
    assert f"  {name} " in capsys.readouterr().out


def test_help_imports_nothing_heavy_and_takes_no_time():
    code = (
        "import sys; from tf_admm_cli.main import main; main(['--help']);"
        "main(['compress', '--help']);"
        "heavy = {'keras', 'tensorflow', 'numpy', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([TF_ADMM, "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3


def test_a_plan_from_the_shell_is_quiet(world):
    """Flags stand anywhere, with dashes or underscores."""
    command = [TF_ADMM, "plan", "--sparsity", "0.5", "model.keras", "--json"]
    done = subprocess.run(command, cwd=world, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    kernels = [
        w for w in keras.saving.load_model(world / "model.keras").weights if w.ndim > 1
    ]
    assert found["total"] == sum(np.size(w) for w in kernels)
    assert found["kept"] == found["total"] // 2


def test_what_a_module_prints_is_not_in_the_json(here, capsys):
    found = succeed(capsys, "plan", "own.keras", "--import=my_layers")
    assert found["total"] == 12


@pytest.mark.parametrize("path", ["model.keras", "bare.keras"])
def test_evaluated_as_keras_does(path, here, capsys):
    found = succeed(capsys, "evaluate", path, "data.npz")
    model = keras.saving.load_model(path)
    data = np.load("data.npz")
    answers = model.predict(data["x_test"], verbose=0)
    right = np.mean(answers.argmax(axis=-1) == data["y_test"])
    assert found["rows"] == 30 and found["data"] == "test part"
    assert found["metrics"]["accuracy"] == pytest.approx(right)
    shares = np.exp(answers) / np.exp(answers).sum(axis=-1, keepdims=True)
    loss = -np.log(shares[np.arange(30), data["y_test"]]).mean()
    assert found["metrics"]["loss"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize(
    "dtype", ["int8", pytest.param("float32", marks=pytest.mark.slow)]
)
def test_exported_inspected_and_evaluated(dtype, here, tmp_path, capsys):
    path = str(tmp_path / "model.tflite")
    options = [f"--dtype={dtype}", f"--io-dtype={dtype}", f"--output={path}"]
    options += ["--nosparse"]
    if dtype == "int8":
        options += ["--representative=x.npy"]
    succeed(capsys, "export", *options, "model.keras")
    assert succeed(capsys, "inspect", path)["bytes"] == os.path.getsize(path)
    found = succeed(capsys, "evaluate", path, "x.npy", "y.npy")
    assert found["metrics"] == {"accuracy": pytest.approx(accuracy(path))}
    loss = "--loss=sparse_categorical_crossentropy"
    assert succeed(capsys, "evaluate", path, "x.npy", "y.npy", loss) == found


def accuracy(path):
    """By the interpreter, one row at a time."""
    interpreter = Interpreter(path)
    interpreter.allocate_tensors()
    (source,), (result,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    scale, zero = source["quantization"]
    right = []
    for row, label in zip(np.load("x.npy"), np.load("y.npy")):
        stored = np.clip(np.round(row / scale) + zero, -128, 127) if scale else row
        interpreter.set_tensor(source["index"], stored[None].astype(source["dtype"]))
        interpreter.invoke()
        right.append(interpreter.get_tensor(result["index"]).argmax() == label)
    return np.mean(right)


def test_allocated_pruned_and_shrunk(here, tmp_path, capsys):
    rates, pruned, small = (
        str(tmp_path / name) for name in ("rates.json", "pruned.keras", "small.keras")
    )
    succeed(capsys, "allocate", "model.keras", "--ratio=4", f"--output={rates}")
    found = succeed(
        capsys,
        *("prune", "model.keras", "data.npz", f"--constraints={rates}"),
        *("--admm_epochs=2", "--retrain_epochs=1", f"--output={pruned}"),
    )
    model = keras.saving.load_model(pruned)
    kernels = [np.array(w) for w in model.weights if w.ndim > 1]
    assert sum(map(np.count_nonzero, kernels)) == found["kept"] == 112 // 4
    assert os.listdir(tmp_path).count("pruned.keras.unfinished") == 0
    succeed(capsys, "shrink", pruned, f"--output={small}")
    x = np.load("x.npy")
    shrunk = keras.saving.load_model(small)
    assert shrunk.count_params() <= model.count_params()
    assert shrunk.get_compile_config() == model.get_compile_config()
    np.testing.assert_allclose(
        shrunk.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-4
    )


@pytest.mark.slow
def test_allocated_by_what_the_loss_suffers(here, tmp_path, capsys):
    words = ["allocate", "model.keras", "data.npz", "--ratio=4"]
    found = succeed(capsys, *words, f"--output={tmp_path / 'rates.json'}")
    assert found["method"] == "sensitivity" and found["kept"] == 112 // 4


LOST = """
import gc, signal, sys, time
from tf_admm_cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
def stopped(phase, info):
    gc.callbacks.clear()
    raise KeyboardInterrupt
sys.unraisablehook = main._unraisable
gc.callbacks.append(stopped)
try:
    gc.collect()
    for _ in range(600):
        time.sleep(0.1)
except KeyboardInterrupt:
    print("stopped")
"""


def test_a_stop_that_python_loses_stops():
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True)
    assert done.stdout == "stopped\n" and not done.stderr


def test_overwritten_if_asked(here, tmp_path, capsys):
    path = tmp_path / "small.keras"
    path.write_text("mine")
    words = ["shrink", "model.keras", f"--output={path}"]
    assert main(words) == 2 and path.read_text() == "mine"
    succeed(capsys, *words, "--overwrite")
    assert keras.saving.load_model(path).count_params() == 131


def test_work_that_fails_leaves_a_log(here, tmp_path, capsys):
    words = ["export", "pooling.keras", f"--output={tmp_path / 'x.tflite'}"]
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tf-admm export: ") and "MaxPool3D" in line
    log = pathlib.Path(line.rpartition("details: ")[2].rstrip(")"))
    assert "Traceback" in log.read_text()
    log.unlink()
    assert not list(tmp_path.iterdir())


def test_a_dry_run_writes_nothing(here, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["compress", "model.keras", "data.npz", f"--output={out}", "--ratio=3"]
    found = succeed(capsys, *words, "--dry-run")
    assert found["goal"] == "ratio=3" and not out.exists()
    rows = [found[f"{part} rows"] for part in ("training", "validation", "test")]
    assert rows == [108, 12, 30]


COMPRESSED = {
    "over another": (["model.keras", "data.npz", "--overwrite"], 112),
    "two inputs": (["two.keras", "two.npz"], 12),
    "own layer": (["own.keras", "data.npz", "--import=my_layers"], 12),
}


@pytest.mark.slow
@pytest.mark.parametrize("words, total", COMPRESSED.values(), ids=COMPRESSED)
def test_compressed(words, total, here, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    if "--overwrite" in words:
        record = {"files": {"pruned": str(out / "pruned_of_old.tflite")}}
        (out / "result.json").write_text(json.dumps(record))
        (out / "pruned_of_old.tflite").write_text("old")
        (out / "notes.txt").write_text("mine")
    words = ["compress", *words, f"--output={out}", "--ratio=2", "--epochs=2"]
    found = succeed(capsys, *words)
    kept = {"notes.txt"} & {path.name for path in out.iterdir()}
    assert not (out / "pruned_of_old.tflite").exists()
    assert bool(kept) == ("--overwrite" in words)
    assert found == json.loads((out / "result.json").read_text())
    archive = zipfile.ZipFile(out / "model.keras").read("model.weights.h5")
    kernels = [np.array(w) for w in weights(archive) if w.ndim > 1]
    assert 0 < sum(map(np.count_nonzero, kernels)) <= total // 2
    words = [word for word in words if word != "--overwrite"]
    assert main(words) == 2 and "is done" in capsys.readouterr().err


def weights(archive):
    """All arrays of a weights file, without Keras."""
    found = []
    with h5py.File(io.BytesIO(archive)) as file:
        file.visititems(
            lambda _, item: found.append(item[()]) if hasattr(item, "dtype") else None
        )
    return found


@pytest.mark.parametrize("words", [["--epochs=1"], ["--ratio=2", "--time_limit=3"]])
def test_overwriting_with_bad_input_loses_nothing(words, here, tmp_path, capsys):
    record = {"files": {"pruned": "pruned.tflite"}}
    (tmp_path / "result.json").write_text(json.dumps(record))
    for name in ("model.keras", "report.html", "pruned.tflite", "mine.tflite"):
        (tmp_path / name).write_text(name)
    before = state(tmp_path)
    words = ["compress", "model.keras", "data.npz", "--overwrite", *words]
    assert main([*words, f"--output={tmp_path}"]) == 2
    assert "a run that is done" not in capsys.readouterr().err
    assert state(tmp_path) == before


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{TF_ADMM} compress --help"
    with subprocess.Popen(
        command.split(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_backup_is_of_what_the_files_hold(tmp_path):
    from tf_admm_cli import training

    path = tmp_path / "data.npz"
    path.write_bytes(b"one")
    first = training.contents(path)
    assert training.contents(path) == first
    path.write_bytes(b"two")
    assert training.contents(path) != first
    folder = training.contents(tmp_path)
    (tmp_path / "more.png").write_bytes(b"image")
    assert training.contents(tmp_path) != folder


@pytest.mark.slow
def test_reported(here, tmp_path, capsys):
    page = tmp_path / "page.html"
    found = succeed(capsys, "report", "model.keras", "data.npz", f"--html={page}")
    evaluated = succeed(capsys, "evaluate", "model.keras", "data.npz")
    dense = found["variants"][0]
    assert dense["metric"] == pytest.approx(evaluated["metrics"]["accuracy"])
    assert f"{dense['bytes']:,}" in page.read_text()


GOES_ON = "The same command goes on"
UNFINISHED = "pruned.keras.unfinished"
#: By name: flags, output, the file that says it has begun, and what is printed.
STOPPED = {
    "compress": (["--max_drop=1", "--epochs=10"], "out", "out/.run/stage_1", GOES_ON),
    "prune": (
        ["--admm_epochs=300"],
        "pruned.keras",
        f"{UNFINISHED}/training_metadata.json",
        GOES_ON,
    ),
    "prune at once": (
        ["--admm_epochs=300"],
        "pruned.keras",
        f"{UNFINISHED}/run.json",
        "No epoch was done",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", STOPPED)
def test_ctrl_c_says_how_to_go_on(name, by, world, tmp_path):
    options, output, begun, told = STOPPED[name]
    name = name.partition(" ")[0]
    command = [TF_ADMM, name, world / "model.keras", world / "data.npz", *options]
    command += [f"--output={output}"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 120
    while not (tmp_path / begun).exists() and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(by)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.startswith(f"tf-admm {name}: stopped. ")
    assert told in printed
    assert (tmp_path / UNFINISHED).exists() == (name == "prune" and told == GOES_ON)
    assert len(printed.splitlines()) == 1
    if name == "compress":
        keras.saving.load_model(tmp_path / "out" / "model.keras")
    else:
        assert not (tmp_path / output).exists()
