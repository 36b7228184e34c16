"""What a layer does to the channels of its inputs, the last axis.

A rule says which channels must go together (`ties`), which outputs are the same
number everywhere (`constants`), and for layers with a kernel which inputs it reads.
Constants are arrays with NaN where a channel is no constant.
"""

import keras
import numpy as np

from tf_admm.shrinking import activations
from tf_admm.shrinking.weighted import Depthwise
from tf_admm.shrinking.weighted import Linear
from tf_admm.shrinking.weighted import Opaque
from tf_admm.shrinking.weighted import Separable
from tf_admm.shrinking.weighted import Transposed


class Channelwise(Opaque):
    """Each channel by itself, constants made from constants by the layer."""

    shrinks = True

    def ties(self, sizes, out):
        return [(0, c, c) for c in range(out)]

    def constants(self, ins, out):
        return self.apply(ins[0])

    def apply(self, constants):
        return constants

    def config(self, config, ins, out, shift):
        return config

    def new_weights(self, ins, out, shift):
        return [np.array(w)[..., out] for w in self.layer.weights]


class Elementwise(Channelwise):
    """Activation layers and rescaling."""

    def apply(self, constants):
        return activations.applied(self.layer, constants)


class Normalised(Channelwise):
    """BatchNormalization, as it is at inference."""

    def apply(self, constants):
        x = constants.astype("float32").reshape(1, 1, -1)
        shape = (1,) * (self.layer.input_spec.ndim - 1) + (len(constants),)
        y = np.array(self.layer(x.reshape(shape), training=False)).ravel()
        return np.where(np.isnan(constants), np.nan, y)


class Padded(Channelwise):
    """ZeroPadding: a constant stays one if it is zero."""

    def apply(self, constants):
        return np.where(constants == 0, constants, np.nan)


class Flattened(Channelwise):
    """Flatten: each channel at each position is an output."""

    def ties(self, sizes, out):
        return [(0, i % sizes[0], i) for i in range(out)]

    def constants(self, ins, out):
        return np.tile(ins[0], out // len(ins[0]))


class Reshaped(Channelwise):
    """Reshape that leaves the last axis as it is."""

    def config(self, config, ins, out, shift):
        config["target_shape"] = (*config["target_shape"][:-1], len(out))
        return config


class Merged(Channelwise):
    """Add and its like: channel by channel."""

    def ties(self, sizes, out):
        return [(i, c, c) for i in range(len(sizes)) for c in range(out)]

    def constants(self, ins, out):
        arrays = [c.astype("float32")[None] for c in ins]
        return np.array(self.layer(arrays)).ravel().astype("float64")


class Concatenated(Channelwise):
    """Concatenate along the last axis."""

    def ties(self, sizes, out):
        starts = np.cumsum([0, *sizes])
        return [
            (i, c, int(starts[i]) + c)
            for i in range(len(sizes))
            for c in range(sizes[i])
        ]

    def constants(self, ins, out):
        return np.concatenate(ins)


L = keras.layers
RULES = {
    **dict.fromkeys((L.Dense, L.Conv1D, L.Conv2D, L.Conv3D), Linear),
    **dict.fromkeys(
        (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose), Transposed
    ),
    **dict.fromkeys((L.SeparableConv1D, L.SeparableConv2D), Separable),
    **dict.fromkeys((L.DepthwiseConv1D, L.DepthwiseConv2D), Depthwise),
    **dict.fromkeys(
        (
            L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D, L.AveragePooling1D,
            L.AveragePooling2D, L.AveragePooling3D, L.GlobalAveragePooling1D,
            L.GlobalAveragePooling2D, L.GlobalAveragePooling3D, L.GlobalMaxPooling1D,
            L.GlobalMaxPooling2D, L.GlobalMaxPooling3D, L.UpSampling1D,
            L.UpSampling2D, L.UpSampling3D, L.Cropping1D, L.Cropping2D, L.Cropping3D,
            L.Dropout, L.SpatialDropout1D, L.SpatialDropout2D, L.SpatialDropout3D,
            L.GaussianDropout, L.GaussianNoise, L.Identity,
        ),
        Channelwise,
    ),
    **dict.fromkeys((L.Activation, L.ReLU, L.LeakyReLU, L.ELU), Elementwise),
    L.BatchNormalization: Normalised,
    **dict.fromkeys((L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D), Padded),
    L.Flatten: Flattened,
    L.Reshape: Reshaped,
    **dict.fromkeys(
        (L.Add, L.Subtract, L.Average, L.Maximum, L.Minimum, L.Multiply), Merged
    ),
    L.Concatenate: Concatenated,
}  # fmt: skip


def rule(call):
    """The rule of a call's layer; `Opaque` where it has an option of its own."""
    layer = call.layer
    if type(layer) in RULES and _is_ordinary(layer, call):
        return RULES[type(layer)](layer)
    return Opaque(layer)


def _is_ordinary(layer, call):
    """Whether the layer does what its rule says, and no more."""
    rank = len(call.outputs[0].shape) if call.outputs else 0
    size = call.inputs[0].shape[-1] if call.inputs and call.inputs[0].shape else None
    return (
        getattr(layer, "data_format", "channels_last") != "channels_first"
        and getattr(layer, "groups", 1) == 1
        and getattr(layer, "axis", -1) in (-1, rank - 1)
        and (
            activations.is_elementwise(layer) or issubclass(RULES[type(layer)], Linear)
        )
        and not getattr(layer, "quantization_mode", None)
        and not getattr(layer, "lora_enabled", False)
        and len(call.outputs) == 1
        and (type(layer) is not L.Reshape or layer.target_shape[-1] == size)
        and (
            RULES.get(type(layer)) is not Merged
            or {x.shape[-1] for x in call.inputs} == {call.outputs[0].shape[-1]}
        )
    )
