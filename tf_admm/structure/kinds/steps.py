"""TimeDistributed around a model: what the model calls, on all steps as one batch."""

import keras

from tf_admm.structure.masking import mask_of


def opened(layer, parts, note, x, **others):
    """What the model in a TimeDistributed makes of all steps.

    Args:
        layer: the layer.
        parts: dict from names to the layers that it holds.
        note: function that calls a layer.
        x: tensor `(batch, steps, ...)`.

    Raises:
        ValueError: if it is no model; if sizes but that of the batch are open; or if
            the steps differ, by a mask, or by statistics that each step moves.
    """
    model, sizes = layer.layer, x.shape[1:]
    alike = not model.non_trainable_weights and mask_of(x) is None
    if not isinstance(model, keras.Model) or None in sizes or not alike:
        raise ValueError(f"Expected a model of steps alike. Received: {model}")
    y = note(model, keras.ops.reshape(x, (-1, *sizes[1:])))
    return keras.ops.reshape(y, (-1, sizes[0], *y.shape[1:]))
