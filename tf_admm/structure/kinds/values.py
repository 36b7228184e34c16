"""The numbers in weights, or zeros in their place."""

import contextlib
import contextvars

import keras
import numpy as np

#: Ids of weights that are taken for zeros.
_zeros = contextvars.ContextVar("zeros", default=frozenset())


@contextlib.contextmanager
def zeros(variables):
    """A scope in which `value` and `nonzero` take these weights for zeros."""
    token = _zeros.set(frozenset(map(id, variables)))
    try:
        yield
    finally:
        _zeros.reset(token)


def value(variable):
    """A variable as a float64 array; zeros in the scope of `zeros`."""
    if id(variable) in _zeros.get():
        return np.zeros(variable.shape)
    return keras.ops.convert_to_numpy(variable).astype("float64")


def nonzero(variable):
    """Where a variable is not 0.0, a boolean array."""
    if id(variable) in _zeros.get():
        return np.zeros(variable.shape, bool)
    return keras.ops.convert_to_numpy(variable) != 0
