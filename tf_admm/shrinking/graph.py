"""Which channels of a model can go.

Each channel of each tensor is a node. Nodes that a layer ties (the input and output
of an activation, the summands of an Add) go together or stay together. A group can
go if it touches no border and no opaque layer, and if each kernel that reads one of
it either multiplies it by zeros only, as far as its outputs stay, or can take it into
its bias as the constant that it is.
"""

import dataclasses

import numpy as np

from tf_admm.shrinking import rules
from tf_admm.structure import kernels


@dataclasses.dataclass(frozen=True)
class Change:
    """What becomes of one layer.

    Attributes:
        rule: its `Rule`.
        ins: indices of the channels of its first input that stay.
        out: indices of its outputs that stay.
        shift: what goes into the bias of each output.
    """

    rule: rules.Opaque
    ins: np.ndarray
    out: np.ndarray
    shift: np.ndarray

    def config(self, config):
        return self.rule.config(config, self.ins, self.out, self.shift)

    def weights(self):
        return self.rule.new_weights(self.ins, self.out, self.shift)


class Graph:
    """The channels of a traced model, and which of them stay.

    Args:
        model: the model.
        traced: its `Trace`.
    """

    def __init__(self, model, traced):
        self._model = model
        self._start, self._size, self._nodes = {}, {}, 0
        for tensor in traced.borders:
            self._add(tensor)
        for call in traced.calls:
            for tensor in (*call.inputs, *call.outputs):
                self._add(tensor)
        self._calls = traced.calls
        self._rules = {}
        for call in traced.calls:
            self._rules.setdefault(id(call.layer), rules.rule(call))
        self._parents = list(range(self._nodes))
        self._pinned = np.zeros(self._nodes, bool)
        self._constants = {}
        self._tie()
        self._pin(traced.borders)
        self._pin(self._unknown(traced))
        self._roots = np.array([self._root(node) for node in range(self._nodes)])
        self._kept = self._live()

    # Nodes.

    def _add(self, tensor):
        if id(tensor) not in self._start:
            self._start[id(tensor)] = self._nodes
            self._size[id(tensor)] = tensor.shape[-1] if len(tensor.shape) else 1
            self._nodes += self._size[id(tensor)]

    def _of(self, tensor):
        """The nodes of a tensor, as a slice."""
        start = self._start[id(tensor)]
        return slice(start, start + self._size[id(tensor)])

    def _root(self, node):
        while self._parents[node] != node:
            self._parents[node] = self._parents[self._parents[node]]
            node = self._parents[node]
        return node

    def _union(self, a, b):
        self._parents[self._root(a)] = self._root(b)

    # Ties, constants, and what must stay.

    def _tie(self):
        first = {}
        for call in self._calls:
            rule = self._rules[id(call.layer)]
            if not rule.shrinks:
                self._note_opaque(call)
                continue
            (out,) = call.outputs
            if rule.keeps_outputs:
                self._pin([out])
            ins = [self._start[id(x)] for x in call.inputs]
            sizes = [self._size[id(x)] for x in call.inputs]
            for place, a, b in rule.ties(sizes, self._size[id(out)]):
                self._union(ins[place] + a, self._start[id(out)] + b)
            self._constants[id(out)] = rule.constants(
                [self._constants_of(x) for x in call.inputs], self._size[id(out)]
            )
            # A layer that is called again has one kernel for all calls.
            again = first.setdefault(id(call.layer), call)
            for x, y in zip((*call.inputs, out), (*again.inputs, *again.outputs)):
                for i in range(min(self._size[id(x)], self._size[id(y)])):
                    self._union(self._start[id(x)] + i, self._start[id(y)] + i)

    def _note_opaque(self, call):
        self._pin((*call.inputs, *call.outputs))
        for tensor in call.outputs:
            # An opaque layer may return what it was given.
            self._constants.setdefault(
                id(tensor), np.full(self._size[id(tensor)], np.nan)
            )

    def _unknown(self, traced):
        """Tensors that no call and no border has put there, such as casts."""
        known = {id(x) for call in traced.calls for x in call.outputs}
        known |= {id(x) for x in traced.borders}
        read = [x for call in traced.calls for x in call.inputs]
        return [x for x in read if id(x) not in known]

    def _pin(self, tensors):
        for tensor in tensors:
            self._pinned[self._of(tensor)] = True

    def _constants_of(self, tensor):
        unknown = np.full(self._size[id(tensor)], np.nan)
        return self._constants.get(id(tensor), unknown)

    # What stays.

    def _live(self):
        """Nodes that stay, found by taking away until nothing more can go."""
        self._pin_unread()
        kept = np.ones(self._nodes, bool)
        while True:
            stays = self._pinned.copy()
            for call in self._calls:
                rule = self._rules[id(call.layer)]
                if isinstance(rule, rules.Linear):
                    outputs = kept[self._of(call.outputs[0])]
                    free = ~rule.reads(outputs) | self._foldable(call.layer)
                    stays[self._of(call.inputs[0])] |= ~free
            groups = np.zeros(self._nodes, bool)
            np.logical_or.at(groups, self._roots, stays)
            left = groups[self._roots]
            empty = [t for t in self._tensors() if not left[self._of(t)].any()]
            if empty:
                # No layer can have no units: one stays.
                self._pinned[self._start[id(empty[0])]] = True
                kept = np.ones(self._nodes, bool)
            elif (left == kept).all():
                return kept
            else:
                kept = left

    def _tensors(self):
        return [t for call in self._calls for t in (*call.inputs, *call.outputs)]

    def _pin_unread(self):
        """Of what no call reads, it isn't known what does."""
        read = {id(x) for call in self._calls for x in call.inputs}
        for call in self._calls:
            self._pin([x for x in call.outputs if id(x) not in read])

    def _foldable(self, layer):
        """Inputs that are the same constant at each call of a linear layer."""
        constants = [
            self._constants_of(call.inputs[0])
            for call in self._calls
            if call.layer is layer
        ]
        same = np.all([c == constants[0] for c in constants], axis=0)
        return same & self._rules[id(layer)].folds(constants[0])

    # What becomes of the layers.

    def change(self, layer):
        """The `Change` of a layer; `None` if it stays as it is."""
        rule = self._rules.get(id(layer))
        if rule is None or not rule.shrinks:
            return None
        call = next(call for call in self._calls if call.layer is layer)
        ins, out = (self._kept[self._of(x)] for x in (call.inputs[0], call.outputs[0]))
        shift = np.zeros(len(out))
        if isinstance(rule, rules.Linear):
            folded = ~ins & self._foldable(layer)
            constants = self._constants_of(call.inputs[0])
            shift = rule.shift(np.where(folded, constants, 0.0))
        return Change(rule, np.flatnonzero(ins), np.flatnonzero(out), shift)

    def units(self):
        """`(left, total)` outputs of each kernel that can lose some, by its path."""
        paths = {id(k.layer): k.path for k in kernels.find(self._model)}
        return {
            paths[id(call.layer)]: (
                int(self._kept[self._of(call.outputs[0])].sum()),
                self._size[id(call.outputs[0])],
            )
            for call in self._calls
            if isinstance(self._rules[id(call.layer)], rules.Linear)
        }

    def stopped(self):
        """Names of opaque layers, each once."""
        names = [
            c.layer.name for c in self._calls if not self._rules[id(c.layer)].shrinks
        ]
        return tuple(dict.fromkeys(names))
