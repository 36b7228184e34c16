"""Masks of Keras, which ride on tensors."""

import keras

from tf_admm.structure.calls import tensors


def mask_of(x):
    """The mask that Keras has attached to a tensor, or `None`."""
    return getattr(x, "_keras_mask", None)


def attach_mask(x, mask):
    """Attach a mask, which Keras then gives to what is called on the tensor."""
    x._keras_mask = mask


class Masks:
    """Tells which masks Keras finds itself, from those that a model's own code gives.

    A functional model may have both: what Keras found when it was made is in its graph,
    and is found again whenever the model is called.
    """

    def __init__(self):
        self._made = {}

    def noted(self, layer, args, result):
        """The result of a call, of which it is remembered what made it."""
        if not isinstance(layer, keras.Layer):
            for y in tensors(result):
                self._made[id(y)] = y, layer, keras.tree.flatten(args)
        return result

    def found(self, args, kwargs):
        """Dict from arguments that are masks to the tensors that these ride on."""
        ride = [x for x in tensors((args, kwargs)) if mask_of(x) is not None]
        return {
            key: x
            for key, value in kwargs.items()
            for x in reversed(ride)
            if self._same(value, mask_of(x))
        }

    def _same(self, a, b):
        """Whether two tensors are one, or made by the same operations of the same."""
        if a is b:
            return True
        tensor = isinstance(a, keras.KerasTensor) and isinstance(b, keras.KerasTensor)
        if not tensor or not {id(a), id(b)} <= self._made.keys():
            return _is_constant(a) and _is_constant(b) and a == b
        (_, first, given), (_, second, others) = self._made[id(a)], self._made[id(b)]
        return (
            type(first) is type(second)
            and _config(first) == _config(second)
            and len(given) == len(others)
            and all(map(self._same, given, others))
        )


def _is_constant(x):
    return isinstance(x, bool | int | float | str)


def _config(operation):
    """What it is told, beside what it is called on; its name, if it does not say."""
    try:
        config = operation.get_config()
    except NotImplementedError:
        return operation.name
    return {key: value for key, value in config.items() if key != "name"}
