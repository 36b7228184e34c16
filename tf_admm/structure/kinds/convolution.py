"""Convolutions: plain, transposed, in groups, separable, depthwise."""

import math

import numpy as np

from tf_admm.structure.kinds import activations
from tf_admm.structure.kinds import patches
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.linear import Linear
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.links import Tie
from tf_admm.structure.kinds.values import value


class Conv(Linear):
    """Convolutions of one group."""

    units_name = "filters"

    @classmethod
    def for_call(cls, call):
        grouped = cls is Conv and call.layer.groups > 1
        return Grouped(call) if grouped else cls(call)

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


def _grouped(seen, groups):
    """Patches `(..., positions, c)` as rows of groups of channels."""
    *_, positions, c = seen.shape
    x = seen.reshape(-1, positions, groups, c // groups)
    return x.transpose(2, 0, 1, 3).reshape(groups, len(x), -1)
