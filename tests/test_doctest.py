"""The examples of the docstrings run, and print what they say."""

import doctest
import importlib
import pathlib

import keras
import numpy as np
import pytest

import tf_admm

PACKAGE = pathlib.Path(tf_admm.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>>" in path.read_text()
]
#: Public names whose docstrings need an example.
SHOWN = [
    tf_admm.ADMMModel,
    tf_admm.channel_groups,
    tf_admm.register_layer,
    tf_admm.shrink,
    tf_admm.constraints.GroupSparsity,
    tf_admm.constraints.Sparsity,
]


def model():
    """What the examples call `model`."""
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


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    names = {"keras": keras, "np": np, "tf_admm": tf_admm, "model": model()}
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs=names, optionflags=flags)
    assert result.attempted and not result.failed


@pytest.mark.parametrize("public", SHOWN)
def test_there_is_an_example(public):
    assert ">>>" in public.__doc__
