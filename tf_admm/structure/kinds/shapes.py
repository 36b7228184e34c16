"""Layers and operations that put numbers in other places."""

import math

import keras
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


class Transposed(Channelwise):
    """Permute and transpose, of axes before the last."""

    @classmethod
    def for_call(cls, call):
        kind = cls(call)
        stays = len(call.inputs) == 1 and kind.axes_after()[-1] == len(kind.x.shape) - 1
        return kind if stays else Moved(call, kind.axes_after)

    def axes_after(self):
        """Which axis of the input is where in the output."""
        rank = len(self.x.shape)
        axes = self.layer.axes or range(rank)[::-1]
        return [axis % rank for axis in axes]


class Permuted(Transposed):
    """Permute, which counts axes from 1, the batch left out."""

    def axes_after(self):
        return [0, *self.layer.dims]


class Swapped(Transposed):
    """`keras.ops.swapaxes`."""

    def axes_after(self):
        axes = list(range(len(self.x.shape)))
        i, j = self.layer.axis1, self.layer.axis2
        axes[i], axes[j] = axes[j], axes[i]
        return axes


class Reordered(Transposed):
    """`keras.ops.moveaxis`."""

    def axes_after(self):
        rank = len(self.x.shape)
        places = [axis % rank for axis in self.layer.destination]
        moved = dict(zip(places, (axis % rank for axis in self.layer.source)))
        others = iter(sorted(set(range(rank)) - set(moved.values())))
        return [moved[i] if i in moved else next(others) for i in range(rank)]


class Moved(Kind):
    """Any of these where the channels become positions: only products follow them.

    Args:
        call: the `Call`.
        axes_after: function to which axis of the input is where in the output.
    """

    opaque = False

    def __init__(self, call, axes_after):
        super().__init__(call)
        self._axes_after = axes_after

    def why_opaque(self):
        plain = not self.opaque and len(self.call.inputs) == 1
        return None if plain else super().why_opaque()

    def meet(self, makers, readers):
        self.opaque = not all(
            kind.follows_moved for kind in readers.get(id(self.y), [])
        )

    def before(self, y, letters):
        if self.opaque:
            return y, letters
        places = dict(zip(self._axes_after(), letters))
        return self.x, "".join(places[axis] for axis in range(len(letters)))

    def whole(self):
        return [(self.y, f"'{self.layer.name}' makes positions of the channels")]


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
    """`x[key]`, of all channels or of some that stand beside each other."""

    def _key(self):
        """The key, an entry for each axis; `None` if it holds anything else."""
        key = self.call.args[1] if len(self.call.args) > 1 else None
        # A model that is loaded has a list where a tuple was.
        key = list(key) if isinstance(key, tuple | list) else [key]
        missing = len(self.x.shape) - len(key)
        if Ellipsis in key:
            place = key.index(Ellipsis)
            key[place : place + 1] = [slice(None)] * (missing + 1)
        else:
            key += [slice(None)] * missing
        plain = all(isinstance(k, slice | int) for k in key)
        last = key[-1]
        return key if plain and isinstance(last, slice) and last.step is None else None

    def _range(self):
        return self._key()[-1].indices(channels(self.x))[:2]

    def why_opaque(self):
        return None if self._key() else Kind.why_opaque(self)

    def ties(self):
        start, stop = self._range()
        every = np.arange(stop - start)
        return [Tie(self.x, start + every, self.y, every)]

    def of_constants(self, constants):
        return constants[slice(*self._range())]

    def alters(self, kept):
        return self._range() != (0, channels(self.x)) and not kept(self.x).all()

    def apply(self, layer, args, kwargs, kept):
        before = [int(kept(self.x)[:end].sum()) for end in self._range()]
        others = self._key()[:-1]
        if before == [0, args[0].shape[-1]] and all(k == slice(None) for k in others):
            return args[0]
        return args[0][(*others, slice(*before))]


class Padded(Kind):
    """Padding with zeros, behind the last channel and beside other axes."""

    opaque = False

    def _widths(self):
        """Zeros before and behind each axis."""
        return np.broadcast_to(self.layer.pad_width, (len(self.x.shape), 2))

    def why_opaque(self):
        zeros = self.layer.mode == "constant" and len(self.call.args) == 1
        zeros = zeros and not self.call.kwargs.get("constant_values")
        return None if zeros and not self._widths()[-1][0] else super().why_opaque()

    def ties(self):
        every = np.arange(channels(self.x))
        return [Tie(self.x, every, self.y, every)]

    def constants(self, known):
        constants = known(self.x)
        if self._widths()[:-1].any():
            constants = np.where(constants == 0, constants, np.nan)
        more = channels(self.y) - channels(self.x)
        return [(self.y, np.concatenate([constants, np.zeros(more)]))]

    def config(self, config, size, shift):
        widths = [tuple(map(int, width)) for width in self._widths()]
        return config | {"pad_width": [*widths[:-1], (0, size(self.y) - size(self.x))]}

    def apply(self, layer, args, kwargs, kept):
        return layer(*args, **kwargs) if np.any(layer.pad_width) else args[0]


class Divided(Kind):
    """Split along the last axis, or another."""

    opaque = False

    def why_opaque(self):
        known = self.x.shape and self.x.shape[-1] and len(self.call.inputs) == 1
        return None if known else super().why_opaque()

    def _is_last(self):
        return self.layer.axis % len(self.x.shape) == len(self.x.shape) - 1

    def _starts(self):
        sizes = [channels(y) if self._is_last() else 0 for y in self.call.outputs]
        return np.cumsum([0, *sizes[:-1]])

    def ties(self):
        ends = [np.arange(channels(y)) for y in self.call.outputs]
        return [
            Tie(self.x, start + every, y, every)
            for y, every, start in zip(self.call.outputs, ends, self._starts())
        ]

    def constants(self, known):
        constants = known(self.x)
        return [
            (y, constants[start : start + channels(y)])
            for y, start in zip(self.call.outputs, self._starts())
        ]

    def alters(self, kept):
        # Of the last part no boundary in the config says how long it is.
        return self._is_last() and not kept(self.x).all()

    def config(self, config, size, shift):
        if not self._is_last():
            return config
        ends = np.cumsum([size(y) for y in self.call.outputs])[:-1]
        return config | {"indices_or_sections": tuple(map(int, ends))}


class Unstacked(Divided):
    """Parts along an axis before the last, each of all channels."""

    def why_opaque(self):
        return Kind.why_opaque(self) if self._is_last() else super().why_opaque()
