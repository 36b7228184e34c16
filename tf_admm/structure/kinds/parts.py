"""Slices, parts and padding."""

import numpy as np

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.elementwise import Channelwise
from tf_admm.structure.kinds.links import Tie


class Sliced(Channelwise):
    """`x[key]`, of all channels or of some that stand beside each other."""

    def _key(self):
        """The key, an entry for each axis or new one; `None` if it holds more."""
        key = self.call.args[1] if len(self.call.args) > 1 else None
        # A model that is loaded has a list where a tuple was.
        key = list(key) if isinstance(key, tuple | list) else [key]
        missing = len(self.x.shape) - sum(k is not None for k in key)
        if Ellipsis in key:
            place = key.index(Ellipsis)
            key[place : place + 1] = [slice(None)] * (missing + 1)
        else:
            key += [slice(None)] * missing
        plain = all(isinstance(k, slice | int | None) for k in key)
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
        if kept(self.x).all():
            return layer(*args, **kwargs)
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
