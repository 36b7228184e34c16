"""Layers and operations that put numbers in other places."""

import math
import string

import keras
import numpy as np

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.elementwise import Channelwise
from tf_admm.structure.kinds.links import Tie


class Regrouped(Kind):
    """Flatten and Reshape: the last axis stays, or trailing axes become one, or part.

    Where axes are merged, index i of the last axis is channel i modulo their number. If
    the channels were moved to another of these axes, as in a channel shuffle, it is the
    place of i along that axis.
    """

    opaque = False

    def __init__(self, call):
        super().__init__(call)
        # What has the channels, and the axis of `x` that they are along.
        self._source, self._axis = None, None

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

    def follows(self, axis):
        return axis >= len(self.x.shape) - len(self._merged())

    def _merged(self):
        """Sizes of the trailing axes of `x` that become the last one."""
        shape = self.x.shape
        for i in range(len(shape) - 1, 0, -1):
            if None not in shape[i:] and math.prod(shape[i:]) == self.y.shape[-1]:
                return shape[i:]
        return ()

    def meet(self, makers, readers):
        self._source, self._axis = self.x, len(self.x.shape) - 1
        if id(self.x) in makers:
            letters = string.ascii_letters[: len(self.x.shape)]
            self._source, found = makers[id(self.x)].before(self.x, letters)
            self._axis = letters.index(found[-1])

    def _places(self):
        """The channel that each of `y` is."""
        sizes = self._merged()
        places = np.unravel_index(np.arange(channels(self.y)), sizes)
        return places[self._axis - len(self.x.shape)]

    def ties(self):
        n, m = channels(self._source), channels(self.y)
        if self._merged():
            return [Tie(self._source, self._places(), self.y, np.arange(m))]
        return [Tie(self.x, np.arange(n), self.y, np.arange(n) % m)]

    def constants(self, known):
        constants, m = known(self._source), channels(self.y)
        if self._merged():
            return [(self.y, constants[self._places()])]
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


class ReshapedTo(Reshaped):
    """`keras.ops.reshape`, by code that may have asked for sizes that are open."""

    def is_repeatable(self):
        return self._again(self.layer.newshape, self.x.shape) is not None

    def apply(self, layer, args, kwargs, kept):
        shape = layer.get_config()["newshape"]
        return self._again(shape, args[0].shape)(*args, **kwargs)

    def _again(self, shape, given):
        """The operation without `None` among its sizes; itself `None` if none can be.

        Args:
            shape: the sizes that were asked for, `None` where one was open.
            given: those of what is reshaped.
        """
        closed = _closed(shape, given)
        if closed is not None:
            return self.made(self.layer.get_config() | {"newshape": closed})
        first, *others = shape
        open_sizes = [n for n in others if n in (None, -1)]
        # The batch, which the layer leaves alone, and one size beside it.
        if first is None and given[0] is None and len(open_sizes) == 1:
            return keras.layers.Reshape([-1 if n is None else n for n in others])
        return None


def _closed(shape, given):
    """Sizes to reshape to, -1 for the one that is `None`; `None` if there are more."""
    if None not in shape:
        return tuple(shape)
    if -1 in shape:
        if None in given[1:]:
            return None
        known = math.prod(n for n in shape if n not in (None, -1))
        shape = [math.prod(given[1:]) // known if n == -1 else n for n in shape]
    if shape.count(None) > 1:
        return None
    return tuple(-1 if n is None else n for n in shape)


class Spread(Kind):
    """`keras.ops.broadcast_to`: nothing is known of it."""

    def is_repeatable(self):
        return None not in self.layer.shape


class Lengthened(Channelwise):
    """Expanding and squeezing axes before the last."""

    def why_opaque(self):
        keeps = self.x.shape and self.y.shape and self.x.shape[-1] == self.y.shape[-1]
        axis = self.layer.axis
        rank = max(len(self.x.shape), len(self.y.shape))
        axes = axis if isinstance(axis, tuple | list) else [axis]
        last = any(a is None or a % rank == rank - 1 for a in axes)
        return super().why_opaque() if keeps and not last else Kind.why_opaque(self)
