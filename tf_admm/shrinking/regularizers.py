"""Regularizers of layers whose sizes change."""

import warnings

import keras

#: Rows, and the size of other axes that are open, of what a regularizer is tried on:
#: of more of them, a wrong size may come out even.
OPEN = 1


def fitting(config, call, weights, size):
    """A config without the regularizers that no smaller layer can have.

    One that is written for a size, as that which keeps the transform of a PointNet
    orthogonal, fails on another. A warning says which are left out.

    Args:
        config: of the smaller layer.
        call: the `Call` of the layer.
        weights: list of arrays, those of the smaller layer.
        size: function from a tensor to the number of its channels that stay.
    """
    layer = call.layer
    unfit = [
        variable.regularizer
        for variable, w in zip(getattr(layer, "weights", ()), weights)
        if _fails(variable.regularizer, variable.shape, w.shape)
    ]
    activity = getattr(layer, "activity_regularizer", None)
    shapes = [(x.shape, (*x.shape[:-1], size(x))) for x in call.outputs]
    unfit += [activity for old, new in shapes if _fails(activity, old, new)]
    for regularizer in {id(each): each for each in unfit}.values():
        warnings.warn(
            f"'{layer.name}' of the small model goes without its regularizer "
            f"{type(regularizer).__name__}, which takes no fewer channels.",
            stacklevel=2,
        )
        config = _without(config, keras.regularizers.serialize(regularizer))
    return config


def _fails(regularizer, old, new):
    """Whether it takes zeros of the old shape, and none of the new."""
    if regularizer is None or old == new or not _takes(regularizer, old):
        return False
    return not _takes(regularizer, new)


def _takes(regularizer, shape):
    try:
        regularizer(keras.ops.zeros([n or OPEN for n in shape]))
    except Exception:  # noqa: BLE001, whatever a regularizer's own code raises
        return False
    return True


def _without(config, regularizer):
    """A config, of which others may be part, with `None` in place of a regularizer."""
    if not isinstance(config, dict):
        return config
    return {
        key: None
        if key.endswith("regularizer") and value == regularizer
        else _without(value, regularizer)
        for key, value in config.items()
    }
