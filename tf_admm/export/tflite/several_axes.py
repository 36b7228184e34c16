"""Softmax over several axes, as of attention over the positions of images."""

import contextlib

import keras
from keras import ops

from tf_admm.structure import walking


@contextlib.contextmanager
def as_one(model):
    """The model, any softmax of which over several axes is over one.

    Keras writes exp(x - log(sum(exp(x)))) for several axes: operators in place of one,
    among them a check for infinities, which int8 has no scale for.
    """
    # A shared layer stands in several places.
    everything = {id(layer): layer for layer, _ in walking.walk(model)}
    found = list(filter(_has_several, everything.values()))
    try:
        for layer in found:
            layer.call = _merging(layer)
        yield
    finally:
        for layer in found:
            del layer.call


def _has_several(layer):
    if not isinstance(layer, keras.layers.Softmax):
        return False
    return isinstance(layer.axis, list | tuple) and len(layer.axis) > 1


def _merging(layer):
    """The layer's `call`, on a tensor whose axes of softmax are one, the last."""
    one = keras.layers.Softmax(dtype=layer.dtype_policy)

    def call(inputs, mask=None):
        rank = len(inputs.shape)
        axes = [axis % rank for axis in layer.axis]
        order = [axis for axis in range(rank) if axis not in axes] + axes
        x = ops.transpose(inputs, order)
        shape = ops.shape(x)
        flat = (*shape[: -len(axes)], -1)
        if mask is not None:
            mask = ops.transpose(ops.broadcast_to(mask, ops.shape(inputs)), order)
            mask = ops.reshape(mask, flat)
        y = ops.reshape(one.call(ops.reshape(x, flat), mask), shape)
        return ops.transpose(y, sorted(range(rank), key=order.__getitem__))

    return call
