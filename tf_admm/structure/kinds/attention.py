"""Attention, with its heads as channels."""

import keras
import numpy as np

from tf_admm.structure import walking
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.values import value


class Heads(Kind):
    """MultiHeadAttention: each head reads query, key and value, and adds to the output.

    Head h is 0.0 where the kernel and the bias of its value are, and made by those of
    query, key, value and gate, `(inputs, heads, size)`, along their axis of heads.
    """

    opaque = False

    def __init__(self, call):
        super().__init__(call)
        self.heads = keras.KerasTensor((1, self._count()))
        self._parts = {part.name: part for part, _ in walking.walk(self.layer)}

    def _count(self):
        return self.layer.num_heads

    def _sources(self):
        """Query, key and value, as Keras takes them from the arguments."""
        names = ("query", "value", "key")
        given = dict(zip(names, self.call.args)) | self.call.kwargs
        key = given.get("key")
        return given["query"], given["value"] if key is None else key, given["value"]

    def why_opaque(self):
        plain = (
            len(self.call.outputs) == 1
            and all(isinstance(x, keras.KerasTensor) for x in self._sources())
            and all(len(x.shape) >= 3 for x in self._sources())
            and len(self.y.shape) >= 3
        )
        return None if plain else super().why_opaque()

    def inner(self):
        return [self.heads]

    def whole(self):
        sources = {id(x) for x in self._sources()}
        masks = [x for x in self.call.inputs if id(x) not in sources]
        return [(x, f"a mask of '{self.layer.name}'") for x in masks]

    def _entries(self, weight, axis):
        """Those of each head along an axis."""
        return np.arange(weight.shape[axis]).reshape(channels(self.heads), -1)

    def _of_heads(self, role, weight, axis):
        return Link(role, weight, axis, self.heads, self._entries(weight, axis))

    def links(self):
        out = self._parts["attention_output"]
        found = [
            self._of_heads(READS, out.kernel, 0),
            Link(MAKES, out.kernel, 2, self.y, self.all_of(self.y)),
        ]
        if out.bias is not None:
            found.append(Link(MAKES, out.bias, 0, self.y, self.all_of(self.y)))
        query, key, value_ = self._sources()
        read = {"query": query, "key": key, "value": value_, "gate": query}
        for name, x in read.items():
            if name not in self._parts:
                continue
            dense = self._parts[name]
            found.append(Link(READS, dense.kernel, 0, x, self.all_of(x)))
            found.append(self._of_heads(MAKES, dense.kernel, 1))
            if dense.bias is not None:
                found.append(self._of_heads(MAKES, dense.bias, 0))
        return found

    def constants(self, known):
        dense, out = self._parts["value"], self._parts["attention_output"]
        made = [value(dense.kernel)[known(self._sources()[2]) != 0].any(axis=(0, 2))]
        if dense.bias is not None:
            made.append(value(dense.bias).any(axis=1))
        dead = ~np.any(made, axis=0)
        living = self._entries(out.kernel, 0)[~dead].ravel()
        depends = (value(out.kernel)[living] != 0).any(axis=(0, 1))
        offset = 0.0 if out.bias is None else value(out.bias)
        return [
            (self.heads, np.where(dead, 0.0, np.nan)),
            (self.y, np.where(depends, np.nan, np.zeros(channels(self.y)) + offset)),
        ]

    def config(self, config, size, shift):
        return config | {
            "num_heads": size(self.heads),
            "output_shape": (size(self.y),),
        }


class SharedHeads(Heads):
    """GroupQueryAttention: keys and values go with all queries that read them.

    Keras puts out as many channels as the query has, and wants as many of the value.
    """

    def _count(self):
        return self.layer.num_key_value_heads

    def ties(self):
        query, _, value_ = self._sources()
        return [self.same(query, self.y), self.same(query, value_)]

    def config(self, config, size, shift):
        heads = size(self.heads)
        return config | {
            "num_key_value_heads": heads,
            "num_query_heads": heads * self.layer.num_repeats,
        }
