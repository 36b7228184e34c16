"""Masks of Keras, which ride on tensors."""


def mask_of(x):
    """The mask that Keras has attached to a tensor, or `None`."""
    return getattr(x, "_keras_mask", None)


def attach_mask(x, mask):
    """Attach a mask, which Keras then gives to what is called on the tensor."""
    x._keras_mask = mask
