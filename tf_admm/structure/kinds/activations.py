"""What an activation makes of constants."""

import functools
import warnings

import keras
import numpy as np

#: Numbers that an activation is tried on.
TRIED = np.linspace(-3.0, 3.0, 13, dtype="float32")


def is_elementwise(layer):
    """Whether a layer's activation, if it has one, takes each number by itself."""
    activation = getattr(layer, "activation", None)
    return activation is None or _is_elementwise(activation)


@functools.lru_cache(maxsize=256)
def _is_elementwise(function):
    """Whether it makes the same of numbers in one sample and of samples of one."""
    try:
        with warnings.catch_warnings():
            # Keras wonders at a softmax of one number.
            warnings.simplefilter("ignore")
            row, column = (_of(function, x) for x in (TRIED[None], TRIED[:, None]))
    except Exception:  # noqa: BLE001, whatever a function of one's own raises
        return False
    return row.shape == column.shape and np.allclose(row, column, atol=1e-6)


def _of(function, x):
    y = function(keras.ops.convert_to_tensor(x))
    return keras.ops.convert_to_numpy(y).ravel()


def activated(activation, constants):
    """Constants after an activation, or `None` for none."""
    return constants if activation is None else applied(activation, constants)


def applied(function, constants):
    """A function of a float32 tensor of shape `(1, n)` on constants, NaN if unknown."""
    y = function(np.nan_to_num(constants).astype("float32")[None])
    y = keras.ops.convert_to_numpy(y).ravel().astype("float64")
    return np.where(np.isnan(constants), np.nan, y)


def taken_together(kind):
    """The output of a layer, if an activation such as softmax needs all of it."""
    if is_elementwise(kind.layer):
        return []
    return [(kind.y, f"the activation of '{kind.layer.name}' takes all together")]
