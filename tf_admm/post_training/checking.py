"""What pruning without training asks of samples and of weights."""

import contextlib

import keras
import numpy as np
from keras import ops

from tf_admm import arguments


def checked(model, samples):
    """The samples as arrays, in their structure.

    Raises:
        ValueError: if they are no arrays of as many inputs each, or not one for each
            input of the model, or not finite.
    """
    found = keras.tree.map_structure(arguments.array, samples)
    arrays = keras.tree.flatten(found)
    lengths = {len(x) if x.ndim else 0 for x in arrays}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            "Expected `samples` to be arrays of one or more inputs each, as many in "
            f"all of them. Received: {described(samples)}"
        )
    # Of other models it is not known what they read until they are called.
    wanted = [tuple(x.shape) for x in getattr(model, "inputs", None) or arrays]
    if len(arrays) != len(wanted):
        raise ValueError(
            "Expected `samples` to have an array for each input of the model "
            f"'{model.name}', of shapes {wanted}. Received: {described(samples)}"
        )
    if not all(np.isfinite(x).all() for x in arrays if x.dtype.kind == "f"):
        raise ValueError(
            "Expected `samples` to be finite. Received: NaN or infinity in them"
        )
    return found


@contextlib.contextmanager
def called(model, samples):
    """A scope in which a model is called on samples that may not be for it."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"Expected `samples` that the model '{model.name}' can be called on. "
            f"Received: {described(samples)}; the call raised {type(error).__name__}: "
            f"{error}"
        ) from error


def described(samples):
    """What there is in place of each array, in words."""
    arrays = map(arguments.array, keras.tree.flatten(samples))
    found = [f"{x.dtype} of shape {x.shape}" for x in arrays]
    return f"samples={type(samples).__name__}, with {found}"


def check_finite(items):
    """Raise unless the weights are finite.

    Args:
        items: kernels, or members of channel groups.
    """
    broken = {item.path for item in items if not _is_finite(item.variable)}
    if broken:
        raise ValueError(
            f"Expected finite weights. Received: NaN or infinity in {sorted(broken)}"
        )


def _is_finite(variable):
    return bool(ops.all(ops.isfinite(ops.convert_to_tensor(variable))))
