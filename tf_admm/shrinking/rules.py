"""What a layer does to the channels of its inputs, the last axis.

A rule says which channels must go together (`ties`), which outputs are the same
number everywhere (`constants`), and for layers with a kernel which inputs it reads.
Constants are arrays with NaN where a channel is no constant.
"""

import keras
import numpy as np

from tf_admm import kernels

#: Activations that take each number by itself.
ELEMENTWISE = {
    "celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid",
    "silu", "softplus", "softsign", "tanh", "tanh_shrink",
}  # fmt: skip


class Opaque:
    """A layer of which nothing is known: its channels all stay."""

    shrinks = False
    #: Whether the outputs must stay although the inputs need not.
    keeps_outputs = False

    def __init__(self, layer):
        self.layer = layer

    def ties(self, sizes, out):
        return []

    def constants(self, ins, out):
        return np.full(out, np.nan)


class Linear(Opaque):
    """Dense and Conv: each output reads every input, through the kernel."""

    shrinks = True

    def __init__(self, layer):
        super().__init__(layer)
        (self.kernel,) = [k for k in kernels.find(layer) if k.layer is layer]
        weights = np.array(self.kernel.canonical(self.kernel.variable))
        self.weights = weights.astype("float64")
        #: Whether every output position sees the same inputs, none of them padding.
        self.uniform = getattr(layer, "padding", "valid") == "valid"
        # Such as softmax, which takes all outputs together.
        self.keeps_outputs = not _is_elementwise(layer)

    def bias(self):
        bias = self.layer.bias if self.layer.use_bias else None
        return 0.0 if bias is None else np.array(bias).astype("float64")

    def reads(self, kept):
        """Which inputs a kept output depends on."""
        axes = (*range(self.weights.ndim - 2), self.weights.ndim - 1)
        return (self.weights[..., kept] != 0).any(axis=axes)

    def folds(self, constants):
        """Which inputs are constants that the bias can stand for."""
        known = ~np.isnan(constants)
        return known if self.uniform else known & (constants == 0)

    def shift(self, constants):
        """What constant inputs add to each output, wherever it is."""
        total = self.weights.sum(axis=tuple(range(self.weights.ndim - 2)))
        return np.nan_to_num(constants) @ total

    def constants(self, ins, out):
        if self.keeps_outputs:
            return np.full(out, np.nan)
        folded = self.folds(ins[0])
        reads = (self.weights != 0).any(axis=tuple(range(self.weights.ndim - 2)))
        known = ~reads[~folded].any(axis=0)
        values = self.shift(np.where(folded, ins[0], 0.0)) + self.bias()
        return _activated(self.layer.activation, np.where(known, values, np.nan))

    def config(self, config, ins, out, shift):
        config["units" if "units" in config else "filters"] = len(out)
        if np.any(shift):
            config["use_bias"] = True
        return config

    def new_weights(self, ins, out, shift):
        sliced = self.weights[..., ins, :][..., out]
        weights = [sliced]
        if self.layer.use_bias or np.any(shift):
            bias = self.bias() + np.zeros(self.weights.shape[-1])
            weights.append(bias[out] + shift[out])
        return weights


class Transposed(Linear):
    """ConvTranspose: at the borders outputs see fewer inputs than inside."""

    def __init__(self, layer):
        super().__init__(layer)
        self.uniform = False

    def new_weights(self, ins, out, shift):
        kernel, *bias = super().new_weights(ins, out, shift)
        return [np.swapaxes(kernel, -1, -2), *bias]


class Separable(Linear):
    """SeparableConv: a depthwise and a pointwise kernel, together one kernel."""

    def __init__(self, layer):
        Opaque.__init__(self, layer)
        self.keeps_outputs = not _is_elementwise(layer)
        self.depthwise = np.array(layer.depthwise_kernel).astype("float64")
        self.pointwise = np.array(layer.pointwise_kernel).astype("float64")
        pairs = self.pointwise.reshape(*self.depthwise.shape[-2:], -1)
        self.weights = np.einsum("...im,imo->...io", self.depthwise, pairs)
        self.uniform = layer.padding == "valid"

    def new_weights(self, ins, out, shift):
        multiplier = self.depthwise.shape[-1]
        rows = (ins[:, None] * multiplier + np.arange(multiplier)).ravel()
        _, *bias = super().new_weights(ins, out, shift)
        pointwise = self.pointwise[..., rows, :][..., out]
        return [self.depthwise[..., ins, :], pointwise, *bias]


class Depthwise(Opaque):
    """Each input channel has `depth_multiplier` outputs of its own."""

    shrinks = True

    def __init__(self, layer):
        super().__init__(layer)
        self.weights = np.array(layer.kernel).astype("float64")
        self.uniform = layer.padding == "valid"

    def ties(self, sizes, out):
        multiplier = self.layer.depth_multiplier
        return [
            (0, c, c * multiplier + j)
            for c in range(sizes[0])
            for j in range(multiplier)
        ]

    def constants(self, ins, out):
        positions = tuple(range(self.weights.ndim - 2))
        total = self.weights.sum(axis=positions)
        ignored = (self.weights == 0).all(axis=positions)
        c = ins[0][:, None]
        known = ignored | ~np.isnan(c) & (self.uniform | (c == 0))
        values = np.where(known, np.nan_to_num(c) * total, np.nan).ravel()
        bias = np.array(self.layer.bias) if self.layer.use_bias else 0.0
        return _activated(self.layer.activation, values + bias)

    def config(self, config, ins, out, shift):
        return config

    def new_weights(self, ins, out, shift):
        weights = [self.weights[..., ins, :]]
        if self.layer.use_bias:
            weights.append(np.array(self.layer.bias)[out])
        return weights


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
        return _applied(self.layer, constants)


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
        and (_is_elementwise(layer) or issubclass(RULES[type(layer)], Linear))
        and not getattr(layer, "quantization_mode", None)
        and not getattr(layer, "lora_enabled", False)
        and len(call.outputs) == 1
        and (type(layer) is not L.Reshape or layer.target_shape[-1] == size)
        and (
            RULES.get(type(layer)) is not Merged
            or {x.shape[-1] for x in call.inputs} == {call.outputs[0].shape[-1]}
        )
    )


def _is_elementwise(layer):
    activation = getattr(layer, "activation", None)
    return activation is None or getattr(activation, "__name__", "") in ELEMENTWISE


def _activated(activation, constants):
    return constants if activation is None else _applied(activation, constants)


def _applied(function, constants):
    y = np.array(function(constants.astype("float32")[None])).ravel().astype("float64")
    return np.where(np.isnan(constants), np.nan, y)
