"""Export with Keras on JAX and PyTorch: real processes, compared on both backends."""

import importlib.metadata
import importlib.util
import os
import pathlib
import subprocess
import sys
import sysconfig

import pytest

FOLDER = pathlib.Path(__file__).parent
#: One file; and the rest.
QUICK = ("tflite", "arguments")
LONG = ("int8", "structure", "exactness", "onnx", "saved_model", "report", "tf_keras")
LONG += ("what_can_not_be_loaded", "other_outputs", "own_layers", "death", "warning")
BACKENDS = ("tensorflow", "jax", "torch")


def python(*args, cwd, **env):
    done = subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path(), **env},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def path():
    places = [FOLDER.parent, FOLDER, os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(map(str, places))


def needs(*modules):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")


@pytest.mark.parametrize(
    "backend, checks",
    [
        pytest.param("jax", QUICK, id="jax"),
        pytest.param("jax", LONG, id="jax-long", marks=pytest.mark.slow),
        pytest.param("torch", QUICK + LONG, id="torch", marks=pytest.mark.slow),
    ],
)
def test_export_on_another_backend(backend, checks, tmp_path):
    needs(backend, "tensorflow", "onnxruntime", "tf2onnx")
    script = str(FOLDER / "export_elsewhere.py")
    printed = python(script, *checks, cwd=tmp_path, KERAS_BACKEND=backend)
    assert set(checks) <= set(printed.split())


IMPORTS = """
import sys
import keras
before = set(sys.modules)
import tf_admm
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize(
    "backend",
    ["tensorflow", "jax", pytest.param("torch", marks=pytest.mark.slow)],
)
def test_import_brings_in_no_other_backend(backend, tmp_path):
    """None that `import keras` alone does not."""
    needs(backend)
    brought = python("-c", IMPORTS, cwd=tmp_path, KERAS_BACKEND=backend).split()
    assert "tf_admm" in brought
    assert not {name.split(".")[0] for name in brought} & {*BACKENDS, "onnx"}


WITHOUT = """
import keras, numpy as np, tf_admm
from tf_admm import export
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
small, _ = tf_admm.shrink(model, verbose=0)
tf_admm.save_compressed(small, "small.keras")
keras.saving.load_model("small.keras")
tf_admm.plan(model, tf_admm.constraints.Sparsity(0.5), verbose=0)
x = np.zeros((4, 4), "float32")
for call, missing in (
    (lambda: export.to_tflite(model, "x.tflite"), "ai_edge_litert, tensorflow"),
    (lambda: export.to_onnx(model, "model.onnx"), "onnx"),
    (lambda: export.to_saved_model(model, "served"), "tensorflow"),
    (lambda: export.to_tf_keras(model), "tensorflow"),
    (lambda: tf_admm.report(model, verbose=0), "ai_edge_litert, tensorflow"),
):
    try:
        call()
    except ImportError as error:
        assert "pip install" in str(error) and f"no {missing}" in str(error), error
        assert "with Keras on jax" in str(error), error
    else:
        raise AssertionError(missing)
import os
print(*os.listdir())
"""
#: Distributions that stay out.
HIDDEN = ("tensorflow", "tf_keras", "tf-keras", "onnx", "onnxruntime", "tf2onnx")
HIDDEN += ("torch", "keras-hub", "tensorflow-text", "tensorflow-model-optimization")
HIDDEN += ("ai-edge-litert", "flatbuffers")


def test_without_tensorflow(tmp_path):
    """All but files of TensorFlow works where it is not installed."""
    needs("jax")
    site, work = tmp_path / "site", tmp_path / "work"
    site.mkdir(), work.mkdir()
    out = {
        str(file).split(os.sep)[0]
        for name in HIDDEN
        for file in _files(name)
        if not str(file).startswith(("..", "__pycache__"))
    }
    for entry in pathlib.Path(sysconfig.get_paths()["purelib"]).iterdir():
        if entry.name not in out and entry.suffix != ".pth":
            (site / entry.name).symlink_to(entry)
    places = os.pathsep.join([str(FOLDER.parent), str(site)])
    env = {"KERAS_BACKEND": "jax", "PYTHONPATH": places}
    printed = python("-S", "-c", WITHOUT, cwd=work, **env)
    assert printed.split() == ["small.keras"]


def _files(name):
    try:
        return importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []
