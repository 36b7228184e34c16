"""Which channels of a model are needed, and what becomes of its layers.

Needed are the channels at the borders of the model and of layers that nothing is known
of, and whatever they depend on through weights that are not zero. A channel that is a
constant needs not be there, if what reads it can do without: the constant is 0.0, or
goes into a bias.
"""

import dataclasses

import keras
import numpy as np

from tf_admm.structure import kinds


@dataclasses.dataclass(frozen=True)
class Reading:
    """A layer's call that reads channels through weights.

    Attributes:
        x, y: slices of channels.
        depends: boolean array `(x, y)`, True where y depends on x.
    """

    x: slice
    y: slice
    depends: np.ndarray


class Graph:
    """The channels of a traced model that stay.

    Args:
        channels: its `Channels`.
    """

    def __init__(self, channels):
        self._channels = channels
        self._known = channels.constants()
        self._kinds = {}
        for call, kind in channels.kinds:
            self._kinds.setdefault(id(call.layer), []).append(kind)
        self._folds = {id(kind): self._foldable(kind) for _, kind in channels.kinds}
        self._kept = self._needed()

    def _foldable(self, kind):
        """Function from a tensor that the call reads to which channels can go."""
        calls = self._kinds[id(kind.layer)]

        def foldable(x):
            constants = self._known(x)
            good = kind.foldable(x, constants)
            # One layer has one bias for all of its calls.
            others = [other for other in calls if other is not kind and kind.links()]
            for other in others if x is kind.x else ():
                alike = type(other) is type(kind)
                good = good & (constants == (self._known(other.x) if alike else 0.0))
            return good

        return foldable

    def _readings(self):
        for _, kind in reversed(self._channels.kinds):
            for x, y, matrix in kind.reads():
                depends = matrix & ~self._folds[id(kind)](x)[:, None]
                yield Reading(self._channels.of(x), self._channels.of(y), depends)

    def _needed(self):
        """Boolean array, by channel."""
        classes, needed = self._channels.classes, self._channels.pinned()
        readings = list(self._readings())
        while True:
            before = needed.sum()
            for reading in readings:
                made = needed[classes[reading.y]]
                used = reading.depends[:, made].any(axis=1)
                needed[classes[reading.x][used]] = True
            if needed.sum() > before:
                continue
            kept = needed[classes]
            empty = [
                t
                for t in self._channels.tensors()
                if not kept[self._channels.of(t)].any()
            ]
            if not empty:
                return kept
            # No layer can have no units: one stays.
            needed[classes[self._channels.of(empty[0])][0]] = True

    def kept(self, tensor):
        """Which channels of a tensor stay, a boolean array."""
        return self._kept[self._channels.of(tensor)]

    def size(self, tensor):
        """How many of them."""
        return int(self.kept(tensor).sum())

    # What becomes of the layers.

    def alters(self, call):
        """Whether the call can't be made as it was: the layer or a constant changes."""
        kind = self._kinds[id(call.layer)][0]
        touched = (*call.inputs, *call.outputs, *kind.inner())
        if kind.opaque or all(self.kept(x).all() for x in touched):
            return False
        return (
            any(not self.kept(link.tensor).all() for link in kind.links())
            or kind.alters(self.kept)
            or self._config(kind) != self._config(kind, kinds.channels)
        )

    def _config(self, kind, size=None):
        if type(kind).config is kinds.Kind.config:
            return None
        config = kind.layer.get_config()
        return kind.config(config, size or self.size, self._shift(kind))

    def _shift(self, kind):
        """What goes into the bias of each output that stays."""
        if not any(link.role == kinds.READS for link in kind.links()):
            return np.zeros(1)
        constants = self._known(kind.x)
        gone = ~self.kept(kind.x) & self._folds[id(kind)](kind.x)
        shift = kind.shift(np.where(gone, constants, 0.0))
        return np.broadcast_to(shift, len(self.kept(kind.y)))[self.kept(kind.y)]

    def smaller(self, call):
        """A layer like the one that is called, of the channels that stay.

        Returns:
            `(config, weights)` of the new layer.
        """
        kind = self._kinds[id(call.layer)][0]
        layer, shift = call.layer, self._shift(kind)
        config = self._config(kind) or layer.get_config()
        variables = layer.weights if isinstance(layer, keras.Layer) else []
        sliced = [self._sliced(kind, variable) for variable in variables]
        weights = kind.weights(sliced, shift, self.kept)
        return config, weights

    def _sliced(self, kind, variable):
        """The entries of a weight whose channels stay."""
        w = keras.ops.convert_to_numpy(variable)
        stays = {}
        for link in kind.links():
            if link.variable is variable:
                axis = link.axis % w.ndim
                mask = stays.setdefault(axis, np.ones(w.shape[axis], bool))
                mask[link.index[~self.kept(link.tensor)]] = False
        for axis, mask in stays.items():
            w = np.compress(mask, w, axis=axis)
        return w

    def constant(self, call):
        """What a call on constants returned, of the channels that stay."""
        result = keras.ops.convert_to_numpy(call.layer(*call.args, **call.kwargs))
        return result[..., self.kept(call.outputs[0])]

    def made(self, call, config):
        """The layer that is called, of another config."""
        kind, *_ = self._kinds.get(id(call.layer)) or [kinds.Kind(call)]
        return kind.made(config)

    def apply(self, call, layer, args, kwargs):
        """Call the new layer on new tensors, as the old one was called."""
        kind = next(k for k in self._kinds[id(call.layer)] if k.call is call)
        return kind.apply(layer, args, kwargs, self.kept)

    # What is told of it.

    def units(self, paths):
        """`(left, total)` outputs of each kernel that can lose some, by its path.

        Args:
            paths: dict from ids of kernels to their paths.
        """
        found = {}
        for _, kind in self._channels.kinds:
            for link in kind.links():
                if link.role == kinds.MAKES and id(link.variable) in paths:
                    size = self.size(link.tensor), len(link.index)
                    found.setdefault(paths[id(link.variable)], size)
        return found

    def stopped(self, kernels):
        """Names of opaque layers that touch channels which weights make, each once.

        Args:
            kernels: set of ids of the model's kernels, which an opaque layer may hold.
        """
        made = np.zeros(self._channels.count, bool)
        for _, kind in self._channels.kinds:
            for link in kind.links():
                if link.role == kinds.MAKES:
                    made[self._classes_of(link.tensor)] = True
        names = [
            call.layer.name
            for call, kind in self._channels.kinds
            if kind.opaque
            and (
                any(
                    made[self._classes_of(x)].any()
                    for x in (*call.inputs, *call.outputs)
                )
                or kernels & _weights_of(call.layer)
            )
        ]
        return tuple(dict.fromkeys(names))

    def _classes_of(self, tensor):
        return self._channels.classes[self._channels.of(tensor)]


def _weights_of(layer):
    """Ids of the weights of a layer; an operation has none."""
    return {id(w) for w in layer.weights} if isinstance(layer, keras.Layer) else set()
