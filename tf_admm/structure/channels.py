"""Every channel of every tensor of a traced model, and which are tied.

Channels are numbered; a class is a set of them that live and die together.
"""

import numpy as np

from tf_admm.structure import kinds
from tf_admm.structure.blocks import Block
from tf_admm.structure.calls import tensors
from tf_admm.structure.followers import follower_or


class Channels:
    """The channels of a traced model.

    Args:
        traced: the `Trace`.

    Attributes:
        kinds: list of `(call, kind)`, in order.
        classes: int array, the class of each channel, a number below its own.
        why: dict from classes to why all of it stays, a sentence part.
    """

    def __init__(self, traced):
        self.kinds = [(call, _kind(call)) for call in traced.calls]
        self._introduce(traced)
        self._start, self._tensors, self.count = {}, [], 0
        for tensor in self._found(traced):
            self._add(tensor)
        self.classes = self._joined()
        self.why = {}
        self._pin(tensors(traced.inputs), "an input of the model")
        self._pin(tensors(traced.outputs), "an output of the model")
        for call, kind in self.kinds:
            self._pin(call.masks, f"a mask of '{call.layer.name}'")
            self._pin_whole(kind)
        self._pin_unknown_again()

    def _introduce(self, traced):
        """Tell each kind of its neighbours."""
        makers, readers = {}, {id(x): [None] for x in tensors(traced.outputs)}
        for call, kind in self.kinds:
            makers |= {id(y): kind for y in call.outputs}
            for x in call.given:
                readers.setdefault(id(x), []).append(kind)
        for _, kind in self.kinds:
            kind.meet(makers, readers)

    def _found(self, traced):
        yield from tensors((traced.inputs, traced.outputs))
        for call, kind in self.kinds:
            yield from (*call.given, *call.outputs, *kind.inner())

    def _add(self, tensor):
        if id(tensor) not in self._start:
            self._start[id(tensor)] = self.count
            self._tensors.append(tensor)
            self.count += kinds.channels(tensor)

    def of(self, tensor):
        """The numbers of a tensor's channels, as a slice."""
        start = self._start[id(tensor)]
        return slice(start, start + kinds.channels(tensor))

    def tensors(self):
        """All tensors, in order."""
        return self._tensors

    def ties(self):
        """List of `Tie`: of each layer's call, and of calls that share a weight."""
        ties = [tie for _, kind in self.kinds for tie in kind.ties()]
        return [*ties, *self._by_one_weight()]

    def _joined(self):
        pairs = [
            (self._start[id(tie.x)] + tie.i, self._start[id(tie.y)] + tie.j)
            for tie in self.ties()
        ]
        if not pairs:
            return np.arange(self.count)
        return components(self.count, *map(np.concatenate, zip(*pairs)))

    def _by_one_weight(self):
        """What the same entries of a weight make or read, in one call and another."""
        first = {}
        for call, kind in self.kinds:
            for link in kind.links():
                key = id(link.variable), link.axis % len(link.variable.shape)
                other, by = first.setdefault(key, (link, call))
                if by is not call and np.array_equal(link.index, other.index):
                    every = np.arange(len(link.index))
                    yield kinds.Tie(link.tensor, every, other.tensor, every)

    def _pin_whole(self, kind):
        if kind.opaque:
            why = self.why_unknown(kind)
            self._pin((*kind.call.inputs, *kind.call.outputs), why)
        for tensor, why in kind.whole():
            self._pin([tensor], why)

    @staticmethod
    def why_unknown(kind):
        """Why all stays at an opaque layer, a sentence part."""
        return f"{kind.why_opaque()}, whose channels are not known"

    def _pin_unknown_again(self):
        """What a layer is called on stays if another call of it is opaque."""
        why = {id(k.layer): k.why_opaque() for _, k in self.kinds if k.opaque}
        for call, kind in self.kinds:
            if id(call.layer) in why and not kind.opaque:
                found = (*call.inputs, *call.outputs, *kind.inner())
                self._pin(found, f"{why[id(call.layer)]}, called in another way, too")

    def _pin(self, found, why):
        for tensor in found:
            for number in np.unique(self.classes[self.of(tensor)]):
                self.why.setdefault(int(number), why)

    def pinned(self):
        """Boolean array by class: whether all of it stays."""
        pinned = np.zeros(self.count, bool)
        pinned[list(self.why)] = True
        return pinned

    def constants(self, unknown=None):
        """Function from a tensor to the constant that each channel is, or NaN.

        Args:
            unknown: boolean array by class, True where NaN is wanted in any case.
        """
        unknown = np.zeros(self.count, bool) if unknown is None else unknown
        found = {}

        def known(tensor):
            nothing = np.full(kinds.channels(tensor), np.nan)
            return found.get(id(tensor), nothing)

        for _, kind in self.kinds:
            for tensor, values in kind.constants(known):
                hidden = unknown[self.classes[self.of(tensor)]]
                found[id(tensor)] = np.where(hidden, np.nan, values)
        return known

    def stuck(self):
        """Dict from classes that would stay if all that makes them were 0.0, to why."""
        links = [link for _, kind in self.kinds for link in kind.links()]
        made = [link.variable for link in links if link.role == kinds.MAKES]
        pinned, found = self.pinned(), {}
        with kinds.zeros(made):
            known = self.constants(pinned)
            for _, kind in self.kinds:
                for x in {id(x): x for x, _, _ in kind.reads()}.values():
                    classes = self.classes[self.of(x)]
                    stays = ~kind.foldable(x, known(x)) & ~pinned[classes]
                    why = f"not 0.0 where '{kind.layer.name}' reads it, even if dead"
                    found |= dict.fromkeys(np.unique(classes[stays]).tolist(), why)
        return found


def _kind(call):
    """What is known of a call; of a layer of no known kind, what trials say of it."""
    kind = kinds.of(call)
    if not kind.opaque:
        return kind
    if call.within is None:
        return follower_or(kind)
    return Block(call, Channels(call.within))


def components(count, a, b):
    """The smallest number of each connected part of a graph.

    Args:
        count: int, the nodes.
        a, b: int arrays, the ends of each edge.

    Returns:
        Int array `(count,)`.
    """
    labels = np.arange(count)
    while True:
        low = np.minimum(labels[a], labels[b])
        before = labels.copy()
        # Both ends' labels, and whatever had them, are led to the lower one.
        np.minimum.at(labels, before[a], low)
        np.minimum.at(labels, before[b], low)
        np.minimum.at(labels, a, low)
        np.minimum.at(labels, b, low)
        while not np.array_equal(labels[labels], labels):
            labels = labels[labels]
        if np.array_equal(labels, before):
            return labels
