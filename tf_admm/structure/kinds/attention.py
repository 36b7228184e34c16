"""Attention, with its heads as channels."""

import keras
import numpy as np

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.values import value


class Heads(Kind):
    """MultiHeadAttention: each head reads query, key and value, and adds to the output.

    Head h is 0.0 where `value_dense` is 0.0 for it, and made by the kernels and biases
    of query, key and value, `(inputs, heads, size)`, along their axis of heads.
    """

    opaque = False

    def __init__(self, call):
        super().__init__(call)
        self.heads = keras.KerasTensor((1, self.layer.num_heads))

    def _sources(self):
        """Query, key and value, as Keras takes them from the arguments."""
        names = ("query", "value", "key")
        given = dict(zip(names, self.call.args)) | self.call.kwargs
        key = given.get("key")
        return given["query"], given["value"] if key is None else key, given["value"]

    def _projections(self):
        layer = self.layer
        return layer.query_dense, layer.key_dense, layer.value_dense

    def why_opaque(self):
        plain = (
            len(self.call.outputs) == 1
            and all(isinstance(x, keras.KerasTensor) for x in self._sources())
            and all(len(x.shape) >= 3 for x in self._sources())
            and len(self.y.shape) >= 3
            and not getattr(self.layer, "use_gate", False)
        )
        return None if plain else super().why_opaque()

    def inner(self):
        return [self.heads]

    def whole(self):
        sources = {id(x) for x in self._sources()}
        masks = [x for x in self.call.inputs if id(x) not in sources]
        return [(x, f"a mask of '{self.layer.name}'") for x in masks]

    def links(self):
        out = self.layer.output_dense
        found = [
            Link(READS, out.kernel, 0, self.heads, self.all_of(self.heads)),
            Link(MAKES, out.kernel, 2, self.y, self.all_of(self.y)),
        ]
        if out.bias is not None:
            found.append(Link(MAKES, out.bias, 0, self.y, self.all_of(self.y)))
        for x, dense in zip(self._sources(), self._projections()):
            found += [
                Link(READS, dense.kernel, 0, x, self.all_of(x)),
                Link(MAKES, dense.kernel, 1, self.heads, self.all_of(self.heads)),
            ]
            if dense.bias is not None:
                link = Link(MAKES, dense.bias, 0, self.heads, self.all_of(self.heads))
                found.append(link)
        return found

    def constants(self, known):
        dense, out = self.layer.value_dense, self.layer.output_dense
        made = [value(dense.kernel)[known(self._sources()[2]) != 0].any(axis=(0, 2))]
        if dense.bias is not None:
            made.append(value(dense.bias).any(axis=1))
        dead = ~np.any(made, axis=0)
        depends = (value(out.kernel)[~dead] != 0).any(axis=(0, 1))
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
