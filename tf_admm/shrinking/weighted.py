"""Rules of the layers whose kernels say which channels are read."""

import numpy as np

from tf_admm.shrinking import activations
from tf_admm.structure import kernels


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
        self.keeps_outputs = not activations.is_elementwise(layer)

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
        return activations.activated(
            self.layer.activation, np.where(known, values, np.nan)
        )

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
        self.keeps_outputs = not activations.is_elementwise(layer)
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
        return activations.activated(self.layer.activation, values + bias)

    def config(self, config, ins, out, shift):
        return config

    def new_weights(self, ins, out, shift):
        weights = [self.weights[..., ins, :]]
        if self.layer.use_bias:
            weights.append(np.array(self.layer.bias)[out])
        return weights
