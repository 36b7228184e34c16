"""Layers in which each output adds up inputs, times a kernel."""

import math

import numpy as np

from tf_admm.structure.kinds import activations
from tf_admm.structure.kinds import patches
from tf_admm.structure.kinds.base import MAKES
from tf_admm.structure.kinds.base import READS
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import Link
from tf_admm.structure.kinds.base import Tie
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.base import value


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


class Conv(Linear):
    """Convolutions of one group."""

    units_name = "filters"

    @staticmethod
    def rows(layer, variable, x):
        return _grouped(patches.patches(layer, x), layer.groups)


class Transposed(Conv):
    """ConvTranspose: at the borders outputs see fewer inputs than inside."""

    @staticmethod
    def axes(layer, variable):
        rank = len(variable.shape)
        return (rank - 1,), (rank - 2,)

    @staticmethod
    def rows(layer, variable, x):
        return None

    @staticmethod
    def places(kernel, inputs, outputs):
        return math.prod(inputs.shape[1:-1])

    def uniform(self):
        return False


class Grouped(Conv):
    """Convolutions of several groups, each whole."""

    def why_opaque(self):
        return None

    def links(self):
        return [link for link in super().links() if link.role == MAKES]

    def ties(self):
        n, m = (channels(t) // self.layer.groups for t in (self.x, self.y))
        first = np.arange(self.layer.groups)
        ins, outs = np.arange(channels(self.x)), np.arange(channels(self.y))
        # The first channel of each group stands for it.
        return [
            Tie(self.x, ins, self.x, (first * n)[ins // n]),
            Tie(self.x, first * n, self.y, first * m),
            Tie(self.y, outs, self.y, (first * m)[outs // m]),
        ]

    def foldable(self, x, constants):
        return np.zeros(len(constants), bool)

    def shift(self, constants):
        return 0.0

    def constants(self, known):
        w, n = value(self.kernel), channels(self.x) // self.layer.groups
        m = channels(self.y) // self.layer.groups
        zeros = (known(self.x) == 0).reshape(-1, n).repeat(m, axis=0)
        live = (w != 0).any(axis=tuple(range(w.ndim - 2))).T & ~zeros
        values = np.where(live.any(axis=1), np.nan, 0.0) + self.offset()
        return [(self.y, activations.activated(self.layer.activation, values))]

    def config(self, config, size, shift):
        m = channels(self.y) // self.layer.groups
        return config | {"filters": size(self.y), "groups": size(self.y) // m}


class Separable(Linear):
    """SeparableConv: a depthwise and a pointwise kernel, together one kernel."""

    kernel_name = "pointwise_kernel"
    units_name = "filters"

    def __init__(self, call):
        super().__init__(call)
        self.depthwise = self.layer.depthwise_kernel

    @staticmethod
    def axes(layer, variable):
        of = Depthwise if variable.name == "depthwise_kernel" else Linear
        return of.axes(layer, variable)

    @staticmethod
    def rows(layer, variable, x):
        if variable.name != "depthwise_kernel":
            return None
        return Depthwise.rows(layer, variable, x)

    def links(self):
        multiplier = self.layer.depth_multiplier
        rows = self.all_of(self.x) * multiplier + np.arange(multiplier)
        first = Link(READS, self.depthwise, -2, self.x, self.all_of(self.x))
        second = Link(READS, self.kernel, self.in_axis, self.x, rows)
        return [first, second, *super().links()[1:]]

    def _pairs(self):
        """Both kernels, `(positions..., inputs, m)` and `(inputs, m, outputs)`."""
        depthwise = value(self.depthwise)
        return depthwise, value(self.kernel).reshape(*depthwise.shape[-2:], -1)

    def matrix(self):
        depthwise, pointwise = self._pairs()
        total = depthwise.sum(axis=tuple(range(depthwise.ndim - 2)))
        return np.einsum("im,imo->io", total, pointwise)

    def reads(self):
        depthwise, pointwise = self._pairs()
        first = (depthwise != 0).any(axis=tuple(range(depthwise.ndim - 2)))
        both = first[..., None] & (pointwise != 0)
        return [(self.x, self.y, both.any(axis=1))]


class Depthwise(Kind):
    """Each input channel has `depth_multiplier` outputs of its own."""

    opaque = False

    @staticmethod
    def axes(layer, variable):
        """`(..., c_in, multiplier)`: each pair is an output of its own."""
        rank = len(variable.shape)
        return (rank - 2,), (rank - 2, rank - 1)

    @staticmethod
    def rows(layer, variable, x):
        return _grouped(patches.patches(layer, x), x.shape[-1])

    def why_opaque(self):
        return None

    def whole(self):
        return (
            [] if activations.is_elementwise(self.layer) else [(self.y, "activation")]
        )

    def links(self):
        found = [Link(MAKES, self.layer.kernel, -2, self.x, self.all_of(self.x))]
        if self.layer.bias is not None:
            found.append(Link(MAKES, self.layer.bias, 0, self.y, self.all_of(self.y)))
        return found

    def ties(self):
        every = np.arange(channels(self.y))
        return [Tie(self.x, every // self.layer.depth_multiplier, self.y, every)]

    def constants(self, known):
        w = value(self.layer.kernel)
        positions = tuple(range(w.ndim - 2))
        c = known(self.x)[:, None]
        ignored = (w == 0).all(axis=positions)
        fits = ignored | ~np.isnan(c) & ((self.layer.padding == "valid") | (c == 0))
        values = np.nan_to_num(c) * w.sum(axis=positions)
        values = np.where(fits, values, np.nan).ravel()
        bias = 0.0 if self.layer.bias is None else value(self.layer.bias)
        return [(self.y, activations.activated(self.layer.activation, values + bias))]


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


class Embedding(Kind):
    """Rows of a table, for integers."""

    opaque = False

    @staticmethod
    def prospect(kernel):
        return "no: rows are looked up"

    @staticmethod
    def places(kernel, inputs, outputs):
        return 0

    def why_opaque(self):
        is_lookup = len(self.call.inputs) == 1 and len(self.y.shape) > len(self.x.shape)
        tied = getattr(self.layer, "tie_weights", True)
        return None if is_lookup and tied else super().why_opaque()

    def whole(self):
        return [(self.x, f"'{self.layer.name}' looks numbers up")]

    def links(self):
        return [Link(MAKES, self.layer.embeddings, 1, self.y, self.all_of(self.y))]

    def constants(self, known):
        zero = (value(self.layer.embeddings) == 0).all(axis=0)
        return [(self.y, np.where(zero, 0.0, np.nan))]

    def config(self, config, size, shift):
        return config | {"output_dim": size(self.y)}


def _grouped(seen, groups):
    """Patches `(..., positions, c)` as rows of groups of channels."""
    *_, positions, c = seen.shape
    x = seen.reshape(-1, positions, groups, c // groups)
    return x.transpose(2, 0, 1, 3).reshape(groups, len(x), -1)
