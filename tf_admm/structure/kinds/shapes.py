"""Layers and operations that put numbers in other places."""

import numpy as np

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import Tie
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.elementwise import Channelwise


class Regrouped(Kind):
    """Flatten and Reshape: the last axis stays, or trailing axes become one, or part.

    Where axes are merged, index i of the last axis is channel i modulo their number.
    """

    opaque = False

    def why_opaque(self):
        if len(self.call.inputs) != 1 or not self._aligned():
            return super().why_opaque()
        return None

    def _aligned(self):
        """Whether the longer last axis is made of whole trailing axes of the other."""
        x, y = self.x.shape, self.y.shape
        if not x or not y or not x[-1] or not y[-1]:
            return False
        short, long = (x, y) if x[-1] <= y[-1] else (y, x)
        products = np.cumprod([n or 0 for n in short[:0:-1]])
        return long[-1] in products

    def ties(self):
        n, m = channels(self.x), channels(self.y)
        every = np.arange(max(n, m))
        return [Tie(self.x, every % n, self.y, every % m)]

    def constants(self, known):
        constants, m = known(self.x), channels(self.y)
        if m >= len(constants):
            return [(self.y, np.tile(constants, m // len(constants)))]
        rows = constants.reshape(-1, m)
        same = (rows == rows[0]).all(axis=0)
        return [(self.y, np.where(same, rows[0], np.nan))]

    def apply(self, layer, args, kwargs, kept):
        return layer(*args, **kwargs)


class Flattened(Regrouped):
    """Flatten, which takes its sizes from what it reads."""


class Reshaped(Regrouped):
    """Reshape, to sizes that it was given."""

    def config(self, config, size, shift):
        key = "target_shape" if "target_shape" in config else "newshape"
        shape = list(config[key])
        if shape[-1] != -1:
            shape[-1] = size(self.y)
        elif size(self.y) != channels(self.y) and -1 in shape[:-1]:
            shape[-1] = size(self.y)
        return config | {key: tuple(shape)}


class Transposed(Channelwise):
    """Permute and transpose, of axes before the last."""

    def why_opaque(self):
        last = self.axes_after()[-1] == len(self.x.shape) - 1
        return super().why_opaque() if last else Kind.why_opaque(self)

    def axes_after(self):
        """Which axis of the input is where in the output."""
        rank = len(self.x.shape)
        axes = self.layer.axes or range(rank)[::-1]
        return [axis % rank for axis in axes]


class Permuted(Transposed):
    """Permute, which counts axes from 1, the batch left out."""

    def axes_after(self):
        return [0, *self.layer.dims]


class Lengthened(Channelwise):
    """Expanding and squeezing axes before the last."""

    def why_opaque(self):
        keeps = self.x.shape and self.y.shape and self.x.shape[-1] == self.y.shape[-1]
        axis = self.layer.axis
        rank = max(len(self.x.shape), len(self.y.shape))
        axes = axis if isinstance(axis, tuple | list) else [axis]
        last = any(a is None or a % rank == rank - 1 for a in axes)
        return super().why_opaque() if keeps and not last else Kind.why_opaque(self)


class Sliced(Channelwise):
    """`x[key]`, of all channels."""

    def why_opaque(self):
        key = self.call.args[1] if len(self.call.args) > 1 else None
        key = key if isinstance(key, tuple) else (key,)
        rank = len(self.x.shape)
        plain = all(isinstance(k, slice | int) for k in key)
        whole = len(key) < rank or key[-1] == slice(None)
        return super().why_opaque() if plain and whole else Kind.why_opaque(self)
