"""Layers and operations that take each channel by itself."""

import keras
import numpy as np

from tf_admm.structure.kinds import activations
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.links import Tie
from tf_admm.structure.kinds.values import value


class Channelwise(Kind):
    """Pooling and the like: a constant channel stays what it is."""

    opaque = False

    def why_opaque(self):
        same = len(self.call.inputs) == len(self.call.outputs) == 1
        same = same and channels(self.x) == channels(self.y)
        return None if same else super().why_opaque()

    def ties(self):
        return [self.same(self.x, self.y)]

    def constants(self, known):
        return [(self.y, self.of_constants(known(self.x)))]

    def of_constants(self, constants):
        """The constants after the layer."""
        return constants


class Zeros(Channelwise):
    """Zero padding, and what else leaves zeros alone, but not other constants."""

    def of_constants(self, constants):
        return np.where(constants == 0, constants, np.nan)


class Elementwise(Kind):
    """Each number by itself, or with that of other tensors and constants.

    Tensors with one channel are spread over all channels, and stay.
    """

    opaque = False

    def _flat(self):
        return keras.tree.flatten((self.call.args, self.call.kwargs))

    def why_opaque(self):
        widths = {channels(x) for x in self.call.inputs} - {1}
        fits = len(self.call.outputs) == 1 and widths <= {channels(self.y)}
        return None if fits else super().why_opaque()

    def _spread(self):
        return [x for x in self.call.inputs if channels(x) < channels(self.y)]

    def whole(self):
        spread = [(x, f"'{self.layer.name}' spreads it") for x in self._spread()]
        return spread + activations.taken_together(self)

    def ties(self):
        n = channels(self.y)
        return [self.same(x, self.y) for x in self.call.inputs if channels(x) == n]

    def constants(self, known):
        if activations.taken_together(self):
            return []
        arrays = [known(x) for x in self.call.inputs]
        unknown = np.any([np.isnan(a) for a in np.broadcast_arrays(*arrays)], axis=0)
        filled = iter([np.nan_to_num(a).astype("float32")[None] for a in arrays])
        args, kwargs = keras.tree.map_structure(
            lambda x: next(filled) if isinstance(x, keras.KerasTensor) else x,
            (self.call.args, self.call.kwargs),
        )
        y = keras.ops.convert_to_numpy(self.layer(*args, **kwargs)).astype("float64")
        # A constant that it is called on may differ from place to place.
        rows = np.broadcast_to(y.reshape(-1, y.shape[-1]), (y[..., 0].size, self._n()))
        unknown = unknown | (rows != rows[0]).any(axis=0)
        return [(self.y, np.where(unknown, np.nan, rows[0]))]

    def _n(self):
        return channels(self.y)

    def apply(self, layer, args, kwargs, kept):
        n, stays = channels(self.y), kept(self.y)

        def cut(x):
            if isinstance(x, keras.KerasTensor) or np.ndim(x) == 0 or n == 1:
                return x
            return np.array(x)[..., stays] if np.shape(x)[-1] == n else x

        args, kwargs = keras.tree.map_structure(cut, (args, kwargs))
        return layer(*args, **kwargs)

    def alters(self, kept):
        """Whether a constant of it has to be cut."""
        n = channels(self.y)
        return not kept(self.y).all() and any(
            not isinstance(x, keras.KerasTensor) and np.shape(x)[-1:] == (n,)
            for x in self._flat()
        )


class Product(Elementwise):
    """Multiplication: nothing is known of a factor, but zero makes zero."""

    def constants(self, known):
        found = super().constants(known)
        for x in self.call.inputs:
            found = [(y, np.where(known(x) == 0, 0.0, c)) for y, c in found]
        return found


class Quotient(Elementwise):
    """Division: nothing is known of what divides, but zero stays zero."""

    def constants(self, known):
        numerator, found = self._flat()[0], super().constants(known)
        if not isinstance(numerator, keras.KerasTensor):
            return found
        return [(y, np.where(known(numerator) == 0, 0.0, c)) for y, c in found]


class Scaled(Elementwise):
    """Rescaling by numbers."""

    def why_opaque(self):
        plain = np.ndim(self.layer.scale) == np.ndim(self.layer.offset) == 0
        return super().why_opaque() if plain else Kind.why_opaque(self)


class Resized(Channelwise):
    """Resizing of images: a constant stays one, but for padding."""

    def why_opaque(self):
        padded = getattr(self.layer, "pad_to_aspect_ratio", False)
        return Kind.why_opaque(self) if padded else super().why_opaque()


class Gamma(Channelwise):
    """LayerScale: each channel times a number of its own."""

    def links(self):
        return [Link(MAKES, self.layer.gamma, 0, self.y, self.all_of(self.y))]

    def of_constants(self, constants):
        gamma = value(self.layer.gamma)
        return np.where(gamma == 0, 0.0, constants * gamma)

    def config(self, config, size, shift):
        return config | {"projection_dim": size(self.y)}


class Slopes(Channelwise):
    """PReLU with slopes that are shared over all positions, or not."""

    def links(self):
        return [Link("rides", self.layer.alpha, -1, self.y, self.all_of(self.y))]

    def of_constants(self, constants):
        return np.where(constants >= 0, constants, np.nan)


class Merged(Elementwise):
    """Add and its like on lists of tensors."""


class MergedProduct(Product):
    """Multiply on a list of tensors."""


class Joined(Kind):
    """Concatenation along the last axis, or another."""

    opaque = False

    def why_opaque(self):
        known = all(x.shape and x.shape[-1] for x in self.call.inputs)
        return None if known and len(self.call.outputs) == 1 else super().why_opaque()

    def _is_last(self):
        return self.layer.axis % len(self.y.shape) == len(self.y.shape) - 1

    def ties(self):
        if not self._is_last():
            return [self.same(x, self.y) for x in self.call.inputs]
        ties, start = [], 0
        for x in self.call.inputs:
            every = np.arange(channels(x))
            ties.append(Tie(x, every, self.y, start + every))
            start += len(every)
        return ties

    def constants(self, known):
        arrays = [known(x) for x in self.call.inputs]
        if self._is_last():
            return [(self.y, np.concatenate(arrays))]
        same = np.all([a == arrays[0] for a in arrays], axis=0)
        return [(self.y, np.where(same, arrays[0], np.nan))]


class Stacked(Joined):
    """Stacking along a new axis before the last."""

    def why_opaque(self):
        return Kind.why_opaque(self) if self._is_last() else super().why_opaque()
