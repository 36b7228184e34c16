"""Who imports whom, and what an import does."""

import ast
import graphlib
import importlib.util
import inspect
import os
import pathlib
import subprocess
import sys

import pytest

import tf_admm

PACKAGE = pathlib.Path(__file__).parents[1] / "tf_admm"
FILES = sorted(PACKAGE.rglob("*.py"))

#: The floors, from the ground up; each room may use the rooms before it.
FLOORS = [
    ["version", "files", "printing", "arguments", "constraints", "schedules"],
    ["structure"],
    ["admm", "tables", "allocation"],
    ["shrinking", "export", "post_training"],
    ["reporting"],
    ["compression"],
    ["__init__"],
]
ORDER = [room for floor in FLOORS for room in floor]
#: The rooms of the mathematics.
GROUND = ("constraints", "schedules")
GROUND_USES = {"functools", "keras", "math", "numbers", "numpy", "reprlib", "tf_admm"}
GROUND_USES |= {"collections", "copy", "dataclasses", "typing"}
#: Where a function may import a backend.
BACKENDS = ("tensorflow", "jax", "torch")
INSIDE_FUNCTIONS = [f"admm/trainers/{backend}.py" for backend in BACKENDS]
#: What may import LiteRT.
LITERT = ("export", "reporting")
QUARANTINED = ("tensorflow_model_optimization", "tf_keras", "ai_edge_litert")
#: Private names of Keras that there is no public name for, and where each is used.
PRIVATE = {
    "_compile_config": "compression/training.py",
    "_initial_epoch": "admm/model.py",
    "_inbound_nodes": "structure/recording.py",
    "_layers": "structure/walking.py",
    "_outbound_nodes": "structure/recording.py",
    "_value": "admm/trainers/jax.py",
}


def part(file):
    """`tf_admm/masks.py` -> `masks`; `tf_admm/export/tflite.py` -> `export`."""
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree):
    """Yield `(node, dotted name)` of all that is imported below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "Imports are absolute"
            for alias in node.names:
                yield node, f"{node.module}.{alias.name}"


def at_module_level(tree):
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    return [(node, name) for node, name in imports(tree) if id(node) not in inside]


each_file = pytest.mark.parametrize(
    "file", FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES]
)


@each_file
def test_imports_point_down(file):
    level = ORDER.index(part(file))
    for _, name in imports(ast.parse(file.read_text())):
        parts = name.split(".")
        if parts[0] != "tf_admm" or parts[1:2] == [part(file)]:
            continue
        assert len(parts) > 1 and parts[1] in ORDER, name
        assert ORDER.index(parts[1]) < level, f"{file.name} imports {name}"


def test_imports_go_round_in_no_circle():
    """Inside the rooms, too."""
    names = {module(file): file for file in FILES}
    above = {}
    for name, file in names.items():
        found = {
            imported if imported in names else imported.rpartition(".")[0]
            for _, imported in imports(ast.parse(file.read_text()))
        }
        above[name] = found & set(names) - {name}
    graphlib.TopologicalSorter(above).prepare()


def module(file):
    """`tf_admm/admm/model.py` -> `tf_admm.admm.model`."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@pytest.mark.parametrize("name", GROUND)
def test_the_mathematics_imports_keras_alone(name):
    files = [file for file in FILES if part(file) == name]
    assert files
    for file in files:
        roots = {name.split(".")[0] for _, name in imports(ast.parse(file.read_text()))}
        assert roots <= GROUND_USES


@each_file
def test_private_names_are_our_own(file):
    """Of Keras only those of the table, each in its one place."""
    tree = ast.parse(file.read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
    }
    place = str(file.relative_to(PACKAGE))
    foreign = used - OWN | used & set(PRIVATE)
    assert foreign == {name for name in PRIVATE if PRIVATE[name] == place}


def _own():
    """Private names that the package defines itself."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                yield node.attr
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                targets = getattr(node, "targets", None) or [node.target]
                yield from (t.id for t in targets if isinstance(t, ast.Name))


OWN = set(_own())


@each_file
def test_backends_only_where_they_must_be(file):
    if part(file) == "export":
        return
    tree = ast.parse(file.read_text())
    everywhere = {name for _, name in imports(tree) if is_backend(name)}
    assert not [name for _, name in at_module_level(tree) if is_backend(name)]
    assert not everywhere or str(file.relative_to(PACKAGE)) in INSIDE_FUNCTIONS


def is_backend(name):
    return name.split(".")[0] in BACKENDS


@each_file
def test_tf_keras_appears_nowhere(file):
    """`import tensorflow_model_optimization` makes Keras 2 of `tf.keras`.

    The bridge touches it before that import, so that it stays what it is.
    """
    if file.name == "legacy.py":
        assert file.read_text().count("tf.keras.") == 1
        return
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in {
                ("tf", "keras"),
                ("tensorflow", "keras"),
            }
    assert not [n for _, n in imports(tree) if n.startswith("tensorflow.keras")]


@each_file
def test_export_has_the_awkward_neighbours_to_itself(file):
    tree = ast.parse(file.read_text())
    awkward = [n for _, n in imports(tree) if n.split(".")[0] in QUARANTINED]
    lite = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) == ("tf", "lite")
    ]
    if part(file) in LITERT:
        awkward = [n for n in awkward if not n.startswith("ai_edge_litert")]
    assert part(file) == "export" or not (awkward or lite)


@each_file
def test_only_public_keras(file):
    for _, name in imports(ast.parse(file.read_text())):
        assert not name.startswith(("keras.src", "tensorflow.python")), name


@each_file
def test_every_file_has_a_docstring(file):
    assert ast.get_docstring(ast.parse(file.read_text()))


# In a process of its own.


def python(code, **env):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path(), **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def path():
    return os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])


IMPORT = """
import os, sys, warnings
import keras, tensorflow
environ, modules = dict(os.environ), set(sys.modules)
filters, policy = list(warnings.filters), keras.config.dtype_policy().name
threads = tensorflow.config.threading.get_intra_op_parallelism_threads()
import tf_admm
assert dict(os.environ) == environ, "os.environ"
assert warnings.filters == filters, "warnings"
assert keras.config.dtype_policy().name == policy, "dtype policy"
assert keras.__version__.startswith("3."), "Keras"
assert tensorflow.config.threading.get_intra_op_parallelism_threads() == threads
for name in ("tensorflow_model_optimization", "tf_keras", "ai_edge_litert"):
    assert name not in sys.modules, name
"""


def test_import_has_no_side_effect():
    result = python(IMPORT)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""


ON_ANOTHER_BACKEND = """
import keras, numpy as np, tf_admm
from tf_admm import constraints, schedules
from tf_admm.admm import updates
assert keras.backend.backend() == "{backend}"
to_numpy, tensor = keras.ops.convert_to_numpy, keras.ops.convert_to_tensor
half = constraints.Sparsity(0.5)
for w, expected in (
    ([1, -3, 2, 0.5], [0, -3, 2, 0]),
    ([1, -1, 1, -1], [1, -1, 0, 0]),
    ([0, 0, 0, 0], [0, 0, 0, 0]),
):
    got = to_numpy(half(np.array(w, "float32")))
    np.testing.assert_array_equal(got, np.array(expected, "float32"))
v = tensor(np.array([[1, -3], [2, 0.5]], "float32"))
z = half(v)
np.testing.assert_array_equal(to_numpy(z), [[0, -3], [2, 0]])
u = updates.dual_step(v, z)
assert float(updates.penalty(v, z, u, 2.0)) == 5.0
gap, moved, _, _ = updates.residuals(to_numpy(updates.sums(v, z, v)), 2.0)
np.testing.assert_allclose([gap, moved], [1.25**0.5, 2 * 1.25**0.5], rtol=1e-6)
assert schedules.Constant(0.5)(0.5) == 0.5
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
try:
    tf_admm.ADMMModel(model, half)
except RuntimeError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "backend, needs", [("numpy", "jax"), ("jax", "jax"), ("torch", "torch")]
)
def test_the_mathematics_on_another_backend(backend, needs):
    """Keras' NumPy backend itself imports JAX."""
    if importlib.util.find_spec(needs) is None:
        pytest.skip(f"KERAS_BACKEND={backend} needs {needs}")
    code = ON_ANOTHER_BACKEND.format(backend=backend)
    result = python(code, KERAS_BACKEND=backend)
    assert result.returncode == 0, result.stderr
    assert ("Received: 'numpy'" in result.stdout) == (backend == "numpy")


def public():
    """Functions and classes of the public modules, but for plain dicts and lists."""
    for module in (tf_admm, tf_admm.constraints, tf_admm.schedules, tf_admm.export):
        for name, value in vars(module).items():
            listed = inspect.isclass(value) and issubclass(value, dict | list)
            if not name.startswith("_") and callable(value) and not listed:
                yield pytest.param(value, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("function", public())
def test_arguments_have_types(function):
    """All but `*args` and `**kwargs`, so that an editor can say what goes where."""
    bare = [
        name
        for name, argument in inspect.signature(function).parameters.items()
        if argument.annotation is argument.empty
        and argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
    ]
    assert not bare
