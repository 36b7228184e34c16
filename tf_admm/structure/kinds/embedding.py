"""Tables that are read by rows."""

import math

import numpy as np

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import RIDES
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.values import value


class Embedding(Kind):
    """Rows of a table, for integers."""

    opaque = False
    reads_constants = True

    @staticmethod
    def prospect(kernel):
        return "no: rows are looked up"

    @staticmethod
    def places(kernel, inputs, outputs):
        return 0

    def why_opaque(self):
        return None

    def whole(self):
        return [(x, f"'{self.layer.name}' looks numbers up") for x in self.call.inputs]

    def links(self):
        return [Link(MAKES, self.layer.embeddings, 1, self.y, self.all_of(self.y))]

    def constants(self, known):
        zero = (value(self.layer.embeddings) == 0).all(axis=0)
        return [(self.y, np.where(zero, 0.0, np.nan))]

    def config(self, config, size, shift):
        return config | {"output_dim": size(self.y)}


class Reversible(Embedding):
    """ReversibleEmbedding, which has another table for the way back, or the same."""

    @classmethod
    def for_call(cls, call):
        tensors = (*call.inputs, *call.outputs)
        is_back = len(tensors) == 2 and len({len(x.shape) for x in tensors}) == 1
        return Back(call) if is_back else cls(call)

    @staticmethod
    def places(kernel, inputs, outputs):
        is_back = len(outputs.shape) == len(inputs.shape)
        is_used = kernel.variable is _way_back(kernel.layer)[0]
        return math.prod(outputs.shape[1:-1]) if is_back and is_used else 0

    def links(self):
        table, axis = _way_back(self.layer)
        found, every = super().links(), self.all_of(self.y)
        if table is not self.layer.embeddings:
            found.append(Link(RIDES, table, axis, self.y, every))
        return found


class Back(Reversible):
    """Its call in reverse: for each row of the table, channels times that row."""

    reads_constants = False

    def whole(self):
        return [(self.y, f"'{self.layer.name}' has a row for each")]

    def links(self):
        table, axis = _way_back(self.layer)
        return [
            Link(READS, table, axis, self.x, self.all_of(self.x)),
            Link(MAKES, table, 1 - axis, self.y, self.all_of(self.y)),
        ]

    def constants(self, known):
        return []

    def config(self, config, size, shift):
        return config | {"output_dim": size(self.x)}


def _way_back(layer):
    """`(table, axis)`: what a call in reverse multiplies by, and its axis of inputs."""
    if layer.tie_weights:
        return layer.embeddings, 1
    return layer.reverse_embeddings, 0
