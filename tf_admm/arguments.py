"""What is given as an argument: numbers, and arrays of any library."""

import numbers

import keras
import numpy as np


def is_real(value):
    """Whether it is a number, whole or not; `True` and `False` are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value):
    """Whether it is a whole number."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def array(x):
    """A tensor of any backend, or what NumPy makes an array of, as one of NumPy's.

    Of PyTorch's, NumPy itself takes neither those on a device nor those with gradients.
    """
    if keras.ops.is_tensor(x):
        return keras.ops.convert_to_numpy(x)
    return np.asarray(x)
