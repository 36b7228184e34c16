"""Tables that are read by rows."""

import numpy as np

from tf_admm.structure.kinds.base import MAKES
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import Link
from tf_admm.structure.kinds.base import value


class Embedding(Kind):
    """Rows of a table, for integers."""

    opaque = False

    @staticmethod
    def prospect(kernel):
        return "no: rows are looked up"

    @staticmethod
    def places(kernel, inputs, outputs):
        return 0

    def why_opaque(self):
        is_lookup = len(self.call.inputs) == 1 and len(self.y.shape) > len(self.x.shape)
        tied = getattr(self.layer, "tie_weights", True)
        return None if is_lookup and tied else super().why_opaque()

    def whole(self):
        return [(self.x, f"'{self.layer.name}' looks numbers up")]

    def links(self):
        return [Link(MAKES, self.layer.embeddings, 1, self.y, self.all_of(self.y))]

    def constants(self, known):
        zero = (value(self.layer.embeddings) == 0).all(axis=0)
        return [(self.y, np.where(zero, 0.0, np.nan))]

    def config(self, config, size, shift):
        return config | {"output_dim": size(self.y)}
