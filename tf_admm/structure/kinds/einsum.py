"""EinsumDense."""

import math

import numpy as np

from tf_admm.structure.kinds.base import PERHAPS
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.linear import Linear
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.values import value


class Einsum(Linear):
    """EinsumDense, along the last axes of what it reads and returns.

    `"abc,cde->abde"`: c is what it reads, e what it makes, and d is left alone.
    """

    def __init__(self, call):
        operands, result = call.layer.equation.replace("...", "").split("->")
        source, letters = operands.split(",")
        self._source, self._letters, self._result = source, letters, result
        Kind.__init__(self, call)
        self.kernel, self.bias = self.layer.kernel, self.layer.bias
        self.in_axis, self.out_axis = letters.find(source[-1]), letters.find(result[-1])

    @staticmethod
    def prospect(kernel):
        return PERHAPS

    @staticmethod
    def axes(layer, variable):
        """`"abc,cde->abde"`: kernel letters found on the left, and on the right."""
        operands, result = layer.equation.replace("...", "").split("->")
        source, kernel = operands.split(",")
        inputs = tuple(i for i, letter in enumerate(kernel) if letter in source)
        outputs = tuple(i for i, letter in enumerate(kernel) if letter in result)
        return inputs, outputs

    @staticmethod
    def rows(layer, variable, x):
        operands, result = layer.equation.split("->")
        source, kernel = operands.split(",")
        read = [letter for letter in kernel if letter in source]
        if set(read) & set(result):
            return None
        # An ellipsis stands for the axes that no other letter names.
        front = source.find("...")
        axes = [
            i if front < 0 or i < front else i - len(source)
            for i in map(source.find, read)
        ]
        x = np.moveaxis(x, axes, range(-len(axes), 0))
        return x.reshape(1, -1, math.prod(x.shape[x.ndim - len(axes) :]))

    @staticmethod
    def places(kernel, inputs, outputs):
        return math.prod(outputs.shape[1:]) // kernel.shape[-1]

    def why_opaque(self):
        read, made = self._source[-1], self._result[-1]
        plain = min(self.in_axis, self.out_axis) >= 0 and read != made
        plain = plain and read not in self._result and made not in self._source
        if plain and (self.bias is None or self._bias_axis() is not None):
            return None
        return Kind.why_opaque(self)

    def _bias_axis(self):
        """The axis of the bias that the last one of the result is, if there is one."""
        letters = self.layer.bias_axes or ""
        place = letters.find(self._result[-1])
        return None if place < 0 else len(self.bias.shape) - len(letters) + place

    def links(self):
        found = [
            Link(READS, self.kernel, self.in_axis, self.x, self.all_of(self.x)),
            Link(MAKES, self.kernel, self.out_axis, self.y, self.all_of(self.y)),
        ]
        if self.bias is not None:
            axis = self._bias_axis()
            found.append(Link(MAKES, self.bias, axis, self.y, self.all_of(self.y)))
        return found

    def foldable(self, x, constants):
        return constants == 0

    def shift(self, constants):
        return 0.0

    def offset(self):
        """The bias where it is one number a channel, 0.0 there."""
        if self.bias is None:
            return 0.0
        bias = np.moveaxis(value(self.bias), self._bias_axis(), -1)
        bias = bias.reshape(-1, bias.shape[-1])
        return np.where((bias == bias[0]).all(axis=0), bias[0], np.nan)

    def config(self, config, size, shift):
        shape = config["output_shape"]
        shape = [shape] if isinstance(shape, int) else list(shape)
        return config | {"output_shape": [*shape[:-1], size(self.y)]}

    def weights(self, sliced, shift, kept):
        return sliced
