"""Models: what they need is imported, and they are loaded."""

import contextlib
import importlib
import json
import os
import re
import sys
import zipfile

import keras

from tf_admm_cli import problems
from tf_admm_cli.problems import BadInput


@contextlib.contextmanager
def custom_objects(modules):
    """Import modules; Keras knows their classes and functions while this lasts.

    Raises:
        BadInput: if one can't be imported.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found = {}
    for name in modules:
        found.update(_defined(_imported(name)))
    # Not Keras' scope, which another one inside it puts out of force.
    known = keras.saving.get_custom_objects()
    before = dict(known)
    known.update(found)
    try:
        yield
    finally:
        known.clear()
        known.update(before)


def _imported(name):
    try:
        return importlib.import_module(name)
    except Exception as error:  # noqa: BLE001, whatever a module does
        raise BadInput(
            "--import",
            "Expected modules that can be imported, from this folder or installed. "
            f"Received: {name} ({problems.last_line(error)})",
        ) from error


def _defined(module):
    """What a module, or a package, defines itself, registered or not."""
    root = module.__name__.split(".")[0]
    return {
        name: value
        for name, value in vars(module).items()
        if callable(value)
        and str(getattr(value, "__module__", "")).split(".")[0] == root
    }


def load(path, seed=0, compiled=True):
    """A model of a .keras file, the process seeded.

    Args:
        path: the file.
        seed: int.
        compiled: whether it is to be trained or judged; else its loss, metrics and
            optimizer are neither needed nor made.

    Raises:
        BadInput: if it is no such file, or needs objects that Keras does not know.
    """
    keras.utils.set_random_seed(seed)
    try:
        return keras.saving.load_model(path, compile=compiled)
    except Exception as error:  # noqa: BLE001, whatever a broken file leads to
        raise _bad(path, error) from error


def compile_as(model, path):
    """Compile a model as that of a file was, if Keras alone can."""
    from tf_admm.compression import copies

    with zipfile.ZipFile(path) as file:
        config = json.loads(file.read("config.json")).get("compile_config")
    if config and copies.is_known(config):
        model.compile_from_config(config)


def _bad(path, error):
    text = str(error)
    found = re.search(r"Could not locate (?:class|function) '(\w+)'", text)
    if found:
        module = re.search(r"'module': '([\w.]+)'", text[found.start() :])
        known = module and module[1] not in ("builtins", "__main__")
        return BadInput(
            "--import",
            f"Expected the module that defines `{found[1]}`, which {path} needs. "
            f"Received: none that does{f'; try --import={module[1]}' * bool(known)}",
        )
    if "lambda" in text and "safe_mode" in text:
        return BadInput(
            "MODEL",
            "Expected a model without the Python code of a Lambda layer, which Keras "
            f"does not run unasked. Received: {path}; make it a layer of a class of "
            "your own, and give its module by --import",
        )
    return BadInput(
        "MODEL",
        f"Expected a .keras file of a model. Received: {path}, which Keras can't load "
        f"({problems.last_line(error)})",
    )
