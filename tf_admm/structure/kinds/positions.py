"""Layers and operations along axes that are not the channels, or along all."""

import numpy as np

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.elementwise import Channelwise
from tf_admm.structure.kinds.elementwise import Zeros
from tf_admm.structure.kinds.links import Tie


def is_over_channels(call):
    """Whether the last axis is among those that a layer is said to go along."""
    axes = getattr(call.layer, "axis", None)
    axes = axes if isinstance(axes, tuple | list) else [axes]
    rank = len(call.inputs[0].shape)
    return any(axis is None or axis % rank == rank - 1 for axis in axes)


class Along(Channelwise):
    """Along axes that are not the last."""

    def over_channels(self):
        return is_over_channels(self.call)

    def why_opaque(self):
        return Kind.why_opaque(self) if self.over_channels() else super().why_opaque()


class Together(Along):
    """Reductions, norms and softmax; along the last axis they need all channels."""

    #: The kind of a call along the last axis, where channels may go there, too.
    of_channels = None

    @classmethod
    def for_call(cls, call):
        kind = cls.of_channels if is_over_channels(call) else None
        return (kind or cls)(call)

    def why_opaque(self):
        return None if self.over_channels() else super().why_opaque()

    def whole(self):
        if not self.over_channels():
            return super().whole()
        why = f"'{self.layer.name}' takes all together"
        return [(x, why) for x in (*self.call.inputs, *self.call.outputs)]

    def ties(self):
        return [] if self.over_channels() else super().ties()

    def constants(self, known):
        return [] if self.over_channels() else super().constants(known)


class Means(Together):
    """The mean, largest, or smallest over positions."""


class Sums(Zeros, Together):
    """Sums and norms over positions: of constants other than zero, unknown."""


class Shares(Together):
    """Softmax over positions."""

    def of_constants(self, constants):
        return np.full(len(constants), np.nan)


class Deviations(Together):
    """Variances and standard deviations over positions: of constants, 0.0."""

    def of_constants(self, constants):
        return np.where(np.isnan(constants), np.nan, 0.0)


class Moments(Kind):
    """`keras.ops.moments`: means and variances over positions."""

    opaque = False

    def why_opaque(self):
        rank = len(self.x.shape)
        over = any(axis % rank == rank - 1 for axis in self.layer.axes)
        same = all(channels(y) == channels(self.x) for y in self.call.outputs)
        return super().why_opaque() if over or not same else None

    def ties(self):
        return [self.same(self.x, y) for y in self.call.outputs]

    def constants(self, known):
        mean, variance = self.call.outputs
        none = np.where(np.isnan(known(self.x)), np.nan, 0.0)
        return [(mean, known(self.x)), (variance, none)]


class Running(Zeros, Along):
    """Sums and products of all positions up to each."""


class Gated(Kind):
    """`keras.ops.glu` along the channels: the first half, by gates of the second."""

    opaque = False

    def why_opaque(self):
        halves = len(self.call.inputs) == 1 and channels(self.x) == 2 * channels(self.y)
        return None if halves else super().why_opaque()

    def ties(self):
        every = np.arange(channels(self.y))
        halves = (every, len(every) + every)
        return [Tie(self.x, half, self.y, every) for half in halves]

    def constants(self, known):
        first = known(self.x)[: channels(self.y)]
        return [(self.y, np.where(first == 0, 0.0, np.nan))]


class Halved(Zeros, Together):
    """`keras.ops.glu` along another axis, or along the channels."""

    of_channels = Gated
