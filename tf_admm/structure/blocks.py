"""Layers of no known kind that hold others, whose own code needs known sizes."""

import numpy as np

from tf_admm.structure import recipes
from tf_admm.structure import walking
from tf_admm.structure.kinds import MAKES
from tf_admm.structure.kinds import Kind
from tf_admm.structure.kinds import Tie
from tf_admm.structure.kinds import channels


class Block(Kind):
    """The channels that a layer keeps to itself, where its config sets their number.

    Its own code was run on tensors of made-up sizes, and says which channels in it
    live and die together. The smaller layer is of the same class. What the layer
    reads and returns stays.

    Args:
        call: the `Call`.
        inner: the `Channels` of what it calls.
    """

    def __init__(self, call, inner):
        super().__init__(call)
        self._inner = inner
        self._pinned = inner.pinned()
        recipe = recipes.recipe_of(call.layer, *call.within.inputs)
        self._is_makeable = recipe is not None and recipes.can_be_made(recipe)
        self._entries = self._found(recipe) if self._is_makeable else {}
        free = [link.tensor for links in self._entries.values() for link in links]
        self._classes = {c for tensor in free for c in self._classes_of(tensor)}
        self.opaque = not self._entries

    def _classes_of(self, tensor):
        return set(self._inner.classes[self._inner.of(tensor)].tolist())

    def _found(self, recipe):
        """Dict from entries of the config to the links whose sizes they set."""
        places = {id(w): place for place, w in enumerate(self.layer.weights)}
        free = {}
        for link in self._links():
            if id(link.variable) in places and self._is_free(link):
                axis = link.axis % len(link.variable.shape)
                free.setdefault((places[id(link.variable)], axis), []).append(link)
        sizes = tuple(
            (place, axis, channels(links[0].tensor), links[0].role == MAKES)
            for (place, axis), links in free.items()
        )
        found = {}
        for entry in recipes.entries(recipe, sizes):
            links = [link for place in entry.places for link in free[place]]
            touched = {c for link in links for c in self._classes_of(link.tensor)}
            others = [x for p in free.keys() - entry.places for x in free[p]]
            if not any(touched & self._classes_of(link.tensor) for link in others):
                found[entry] = links
        return found

    def _links(self):
        return [link for _, kind in self._inner.kinds for link in kind.links()]

    def _is_free(self, link):
        """Whether each channel is one entry, and none is tied to one that stays."""
        every = np.array_equal(link.index, self.all_of(link.tensor))
        return every and not self._pinned[list(self._classes_of(link.tensor))].any()

    def _goes(self, tensor):
        return self._classes_of(tensor) <= self._classes

    def _named(self):
        """It, and what keeps it from being laid out flat, if that is weights."""
        own = [w.name for w in walking.own_variables(self.layer)]
        beside = f" with weights of its own beside layers, {own}" if own else ""
        return f"{super().why_opaque()}{beside}"

    def why_opaque(self):
        why = self._named() if self.opaque else None
        return why if self._is_makeable else f"{why}, which its config can't make again"

    def inner(self):
        read = [x for x in self._inner.tensors() if self._goes(x)]
        return read + [y for _, y, _ in self.reads() if not self._goes(y)]

    def whole(self):
        why = f"{self._named()}, whose channels are not known"
        outer = (*self.call.inputs, *self.call.outputs)
        made = [y for _, y, _ in self.reads() if not self._goes(y)]
        return [(x, why) for x in (*outer, *made)]

    def links(self):
        return [link for link in self._links() if self._goes(link.tensor)]

    def reads(self):
        every = [read for _, kind in self._inner.kinds for read in kind.reads()]
        return [(x, y, matrix) for x, y, matrix in every if self._goes(x)]

    def ties(self):
        ties = [tie for tie in self._inner.ties() if self._goes(tie.x)]
        for links in self._entries.values():
            first, *others = [link.tensor for link in links]
            every = np.arange(channels(first))
            ties += [Tie(first, every, other, every) for other in others]
        return ties

    def constants(self, known):
        inside = self._inner.constants(self._pinned)
        return [(x, inside(x)) for x in self.inner()]

    def config(self, config, size, shift):
        changed = {
            entry.key: entry.ratio * size(links[0].tensor)
            for entry, links in self._entries.items()
        }
        return config | changed
