"""The examples in the docstrings do what they say."""

import doctest
import importlib
import pathlib

import keras
import numpy as np
import pytest

import tf_admm

PACKAGE = pathlib.Path(tf_admm.__file__).parent
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMES = {"tf_admm": tf_admm, "keras": keras, "np": np}


def model():
    """What examples that make none call `model`."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3, padding="same", name="block1_conv"),
            keras.layers.BatchNormalization(name="block1_norm"),
            keras.layers.Flatten(),
            keras.layers.Dense(16, "relu", name="fc1"),
            keras.layers.Dense(12, "relu", name="fc2"),
            keras.layers.Dense(4, name="head"),
        ]
    )


def examples():
    """All docstrings of the package with an example."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        module = importlib.import_module(name)
        for test in finder.find(module, name, globs=dict(NAMES)):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", examples())
@pytest.mark.filterwarnings("ignore:`fit` ended in the ADMM phase")
def test_an_example(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    said = []
    test.globs.setdefault("model", model())
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    runner.run(test, out=said.append, clear_globs=False)
    assert not runner.failures, "".join(said)


def test_there_are_examples():
    assert len(list(examples())) >= 8
