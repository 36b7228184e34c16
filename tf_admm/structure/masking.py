"""Masks of Keras, which ride on tensors."""


def mask_of(x):
    """The mask that Keras has attached to a tensor, or `None`."""
    return getattr(x, "_keras_mask", None)
