"""Normalisations."""

import keras
import numpy as np

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.base import padded
from tf_admm.structure.kinds.elementwise import Channelwise
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import RIDES
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.values import value


class Batch(Channelwise):
    """BatchNormalization, as it is at inference: each channel by itself."""

    def why_opaque(self):
        last = self.layer.axis in (-1, len(self.x.shape) - 1)
        return super().why_opaque() if last else Kind.why_opaque(self)

    def links(self):
        return [
            Link(role, variable, 0, self.y, self.all_of(self.y))
            for role, variable in (
                (MAKES, self.layer.gamma),
                (MAKES, self.layer.beta),
                # Without gamma, zeros come out as zeros only if their mean is.
                (MAKES if self.layer.gamma is None else RIDES, self.layer.moving_mean),
                (RIDES, self.layer.moving_variance),
            )
            if variable is not None
        ]

    def of_constants(self, constants):
        gamma, beta, mean, variance = (
            default if variable is None else value(variable)
            for variable, default in (
                (self.layer.gamma, 1.0),
                (self.layer.beta, 0.0),
                (self.layer.moving_mean, 0.0),
                (self.layer.moving_variance, 1.0),
            )
        )
        scale = gamma / np.sqrt(variance + self.layer.epsilon)
        # Where gamma is 0.0, the input doesn't matter.
        filled = np.where(scale == 0, 0.0, constants)
        return scale * (filled - mean) + beta


class Joint(Kind):
    """Normalisations over channels: those that are zero are put back before it.

    The smaller layer has as many channels as before, those that stay first; mean and
    variance count the zeros.
    """

    opaque = False

    def why_opaque(self):
        axes = list(np.ravel(self.layer.axis))
        last = axes in ([-1], [len(self.x.shape) - 1]) and len(self.call.args) == 1
        return None if last else super().why_opaque()

    def _parameters(self):
        return [w for w in (self.layer.gamma, self.layer.beta) if w is not None]

    def links(self):
        every = self.all_of(self.y)
        return [Link(MAKES, w, 0, self.y, every, True) for w in self._parameters()]

    def ties(self):
        return [self.same(self.x, self.y)]

    def reads(self):
        return [(self.x, self.y, np.ones([channels(self.y)] * 2, bool))]

    def constants(self, known):
        gamma, beta = (
            default if w is None else value(w)
            for w, default in ((self.layer.gamma, 1.0), (self.layer.beta, 0.0))
        )
        every = np.ones(channels(self.y))
        return [(self.y, np.where(every * gamma == 0, every * beta, np.nan))]

    def weights(self, sliced, shift, kept):
        order = _order(kept(self.x))
        return [keras.ops.convert_to_numpy(w)[order] for w in self.layer.weights]

    def apply(self, layer, args, kwargs, kept):
        (x,), stays = args, kept(self.x)
        if stays.all():
            return layer(x, **kwargs)
        return layer(padded(x, stays), **kwargs)[..., : stays.sum()]


class Root(Joint):
    """RMSNormalization."""

    def _parameters(self):
        return [self.layer.scale]

    def constants(self, known):
        zero = (value(self.layer.scale) == 0) | (known(self.x) == 0)
        return [(self.y, np.where(zero, 0.0, np.nan))]


class Groups(Joint):
    """GroupNormalization: zeros are put back where they were."""

    def weights(self, sliced, shift, kept):
        return [keras.ops.convert_to_numpy(w) for w in self.layer.weights]

    def apply(self, layer, args, kwargs, kept):
        (x,), stays = args, kept(self.x)
        if stays.all():
            return layer(x, **kwargs)
        axes = [[0, 0]] * (len(x.shape) - 1)
        places = np.where(stays, np.cumsum(stays) - 1, stays.sum())
        padded = keras.ops.pad(x, [*axes, [0, 1]])
        full = keras.ops.take(padded, places.astype("int32"), axis=-1)
        return keras.ops.take(
            layer(full, **kwargs), np.flatnonzero(stays).astype("int32"), axis=-1
        )


def _order(stays):
    """Channels that stay, then those that go."""
    return np.concatenate([np.flatnonzero(stays), np.flatnonzero(~stays)])
