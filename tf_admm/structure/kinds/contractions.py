"""What adds channels up: reductions, norms and inner products over them."""

import keras
import numpy as np

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.base import padded
from tf_admm.structure.kinds.links import RIDES
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.positions import Means
from tf_admm.structure.kinds.positions import Sums


class OverChannels(Kind):
    """The mean, largest, smallest or sum of channels, to which zeros are put back."""

    opaque = False

    def why_opaque(self):
        plain = len(self.call.inputs) == len(self.call.outputs) == 1
        return None if plain and len(self._given()) == 1 else super().why_opaque()

    def _given(self):
        given = keras.tree.flatten((self.call.args, self.call.kwargs))
        return [x for x in given if x is not None]

    def whole(self):
        return [(self.y, f"'{self.layer.name}' is of all together")]

    def reads(self):
        shape = channels(self.x), channels(self.y)
        return [(self.x, self.y, np.ones(shape, bool))]

    def alters(self, kept):
        return not kept(self.x).all()

    def apply(self, layer, args, kwargs, kept):
        return layer(padded(args[0], kept(self.x)), **kwargs)


class Mean(Means):
    """Reductions over positions, or over channels."""

    of_channels = OverChannels


class Sum(Sums):
    """Sums over positions, or over channels."""

    of_channels = OverChannels


class OfUnitLength(Kind):
    """Division by the norm over channels, in which zeros do not count."""

    opaque = False

    def why_opaque(self):
        plain = len(self.call.inputs) == len(self.call.outputs) == 1
        return None if plain else super().why_opaque()

    def ties(self):
        return [self.same(self.x, self.y)]

    def reads(self):
        return [(self.x, self.y, np.ones([channels(self.y)] * 2, bool))]

    def constants(self, known):
        return [(self.y, np.where(known(self.x) == 0, 0.0, np.nan))]


class Unit(Sums):
    """Unit norm over positions, or over channels."""

    of_channels = OfUnitLength


class Inner(Kind):
    """Dot, of two tensors: over their channels, or over positions of the second."""

    opaque = False

    def __init__(self, call):
        super().__init__(call)
        self.a, self.b = (*call.inputs, *call.inputs)[:2]
        axes = self.layer.axes
        pair = (axes, axes) if isinstance(axes, int) else axes
        ranks = len(self.a.shape), len(self.b.shape)
        #: Whether the channels of each are what is summed over.
        self._summed = [i % rank == rank - 1 for i, rank in zip(pair, ranks)]

    def why_opaque(self):
        known = len(self.call.outputs) == 1 and self._summed != [False, True]
        return None if known else super().why_opaque()

    def whole(self):
        why = f"'{self.layer.name}' makes positions of it, or of positions"
        if self._summed == [True, True]:
            return [(self.y, why)]
        return [(self.a, why)] if channels(self.a) > 1 else []

    def ties(self):
        both = self._summed == [True, True]
        return [self.same(self.b, self.a if both else self.y)]

    def reads(self):
        if self._summed != [True, True]:
            return []
        every = np.ones((channels(self.a), channels(self.y)), bool)
        return [(self.a, self.y, every), (self.b, self.y, every)]

    def constants(self, known):
        if self._summed == [True, True]:
            return []
        return [(self.y, np.where(known(self.b) == 0, 0.0, np.nan))]


class Weighted(Kind):
    """Attention, by products of query and key: sums of values, so weighted."""

    opaque = False

    def _sources(self):
        """Query, key and value."""
        query, value, *key = self.call.args[0]
        return query, key[0] if key else value, value

    def why_opaque(self):
        given = self.call.args and self.call.args[0]
        plain = isinstance(given, list | tuple) and len(self.call.outputs) == 1
        known = plain and self.layer.score_mode == "dot"
        return None if known else super().why_opaque()

    def whole(self):
        sources = {id(x) for x in self._sources()}
        masks = [x for x in self.call.inputs if id(x) not in sources]
        return [(x, f"a mask of '{self.layer.name}'") for x in masks]

    def ties(self):
        query, key, value = self._sources()
        return [self.same(query, key), self.same(value, self.y)]

    def reads(self):
        query, key, _ = self._sources()
        every = np.ones((channels(query), channels(self.y)), bool)
        return [(query, self.y, every), (key, self.y, every)]

    def constants(self, known):
        _, _, value = self._sources()
        return [(self.y, np.where(known(value) == 0, 0.0, np.nan))]


class Additive(Weighted):
    """AdditiveAttention: sums of `scale * tanh(query + key)`, one scale a channel."""

    def links(self):
        if self.layer.scale is None:
            return []
        query = self._sources()[0]
        return [Link(RIDES, self.layer.scale, 0, query, self.all_of(query))]


class Scored(Weighted):
    """`keras.ops.dot_product_attention`, with the scale that all channels have."""

    _names = ("query", "key", "value", "bias", "mask", "scale")

    def _given(self, args, kwargs):
        return dict(zip(self._names, args)) | kwargs

    def _sources(self):
        given = self._given(self.call.args, self.call.kwargs)
        return given["query"], given["key"], given["value"]

    def why_opaque(self):
        return None

    def ties(self):
        # Keras takes all of them to be of one size.
        return [*super().ties(), self.same(self._sources()[0], self.y)]

    def alters(self, kept):
        return not kept(self._sources()[0]).all()

    def apply(self, layer, args, kwargs, kept):
        given = self._given(args, kwargs)
        if given.get("scale") is None:
            given["scale"] = channels(self._sources()[0]) ** -0.5
        return layer(**given)
