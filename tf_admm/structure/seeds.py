"""What random numbers come next."""

import contextlib
import random

import keras
import numpy as np


def seeds(layer):
    """The states of the seed generators of a layer or model."""
    return [v for v in layer.variables if v.name == "seed_generator_state"]


def sow(model, seed):
    """Start all seeds of a model anew.

    Args:
        model: a Keras model.
        seed: int, or a list of them.
    """
    rng = np.random.default_rng(seed)
    for state in seeds(model):
        state.assign([rng.integers(2**31), 0])


@contextlib.contextmanager
def kept(model):
    """A scope in which no random numbers are used up.

    After it come those that would have come without it: from the seeds of the model,
    and from Python's `random`, which Keras takes new seeds from.
    """
    states = [(v, keras.ops.convert_to_numpy(v)) for v in seeds(model)]
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
        for variable, value in states:
            variable.assign(value)
