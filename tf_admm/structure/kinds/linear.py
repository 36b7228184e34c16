"""Layers in which each output adds up inputs, times a kernel."""

import numpy as np

from tf_admm.structure.kinds import activations
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.values import value


class Linear(Kind):
    """Dense, Conv, and what is like them; a layer of one's own, by its names.

    `y[..., o] = activation(sum_i kernel[..., i, o] x[..., i] + bias[o])`.

    A subclass for another layer says under which names the layer has the kernel, the
    bias (`None` if it never has one) and, in its config, the number of outputs.
    """

    opaque = False
    kernel_name = "kernel"
    bias_name = "bias"
    units_name = "units"

    @staticmethod
    def rows(layer, variable, x):
        return x.reshape(1, -1, x.shape[-1])

    def __init__(self, call):
        super().__init__(call)
        self.kernel = self._attribute(self.kernel_name)
        self.bias = self._attribute(self.bias_name) if self.bias_name else None
        (self.in_axis,), (self.out_axis,) = self.axes(self.layer, self.kernel)

    def _attribute(self, name):
        try:
            return getattr(self.layer, name)
        except AttributeError as error:
            raise ValueError(
                f"Expected the layer '{self.layer.name}' to have what its kind "
                f"{type(self).__name__} names. Received: no attribute {name!r}"
            ) from error

    def why_opaque(self):
        if getattr(self.layer, "groups", 1) != 1 or len(self.call.inputs) != 1:
            return super().why_opaque()
        return None

    def whole(self):
        return activations.taken_together(self)

    def links(self):
        found = [
            Link(READS, self.kernel, self.in_axis, self.x, self.all_of(self.x)),
            Link(MAKES, self.kernel, self.out_axis, self.y, self.all_of(self.y)),
        ]
        if self.bias is not None:
            found.append(Link(MAKES, self.bias, 0, self.y, self.all_of(self.y)))
        return found

    def matrix(self):
        """What a constant input adds to each output inside, `(inputs, outputs)`."""
        w = np.moveaxis(value(self.kernel), (self.in_axis, self.out_axis), (-2, -1))
        return w.sum(axis=tuple(range(w.ndim - 2)))

    def offset(self):
        return 0.0 if self.bias is None else value(self.bias)

    def uniform(self):
        """Whether every output position sees the same inputs, none of them padding."""
        size = getattr(self.layer, "kernel_size", ())
        return getattr(self.layer, "padding", "valid") == "valid" or set(size) == {1}

    def foldable(self, x, constants):
        return ~np.isnan(constants) & (self.uniform() | (constants == 0))

    def shift(self, constants):
        constants = np.nan_to_num(constants)
        return constants @ self.matrix() if constants.any() else 0.0

    def constants(self, known):
        if self.whole():
            return []
        inputs = known(self.x)
        folded = self.foldable(self.x, inputs)
        depends = np.zeros(channels(self.y), bool)
        for _, _, matrix in self.reads():
            depends |= matrix[~folded].any(axis=0)
        values = self.shift(np.where(folded, inputs, 0.0)) + self.offset()
        values = np.where(depends, np.nan, values)
        activation = getattr(self.layer, "activation", None)
        return [(self.y, activations.activated(activation, values))]

    def config(self, config, size, shift):
        config = config | {self.units_name: size(self.y)}
        return config | ({"use_bias": True} if self._grows_bias(shift) else {})

    def weights(self, sliced, shift, kept):
        if self._grows_bias(shift):
            return [*sliced, shift]
        if self.bias is not None:
            place = [w is self.bias for w in self.layer.weights].index(True)
            sliced[place] = sliced[place] + shift
        return sliced

    def _grows_bias(self, shift):
        return self.bias is None and bool(np.any(shift))


class Dense(Linear):
    """Dense layers, which LiteRT multiplies sparse."""

    @staticmethod
    def prospect(kernel):
        return "yes, as float32: runs sparse on any CPU"
