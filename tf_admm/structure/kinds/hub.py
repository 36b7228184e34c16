"""Layers of keras-hub that are no plain stacks of Keras' own."""

import numpy as np

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.embedding import Embedding
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.values import value


class Positions(Kind):
    """PositionEmbedding: rows of a table, for positions."""

    opaque = False
    prospect = Embedding.prospect
    places = Embedding.places

    def why_opaque(self):
        return None

    def ties(self):
        return [self.same(self.x, self.y)]

    def links(self):
        table = self.layer.position_embeddings
        return [Link(MAKES, table, 1, self.y, self.all_of(self.y))]

    def constants(self, known):
        zero = (value(self.layer.position_embeddings) == 0).all(axis=0)
        return [(self.y, np.where(zero, 0.0, np.nan))]


class Patches(Kind):
    """ViTPatchingAndEmbedding: patches by a kernel, a token before them, positions."""

    opaque = False

    def why_opaque(self):
        return None

    def links(self):
        layer, every = self.layer, self.all_of(self.y)
        conv, table = layer.patch_embedding, layer.position_embedding.embeddings
        made = [(conv.kernel, 3), (conv.bias, 0), (table, 1)]
        if layer.use_class_token:
            made.append((layer.class_token, 2))
        read = Link(READS, conv.kernel, 2, self.x, self.all_of(self.x))
        return [read] + [
            Link(MAKES, w, axis, self.y, every) for w, axis in made if w is not None
        ]

    def constants(self, known):
        zero = np.ones(channels(self.y), bool)
        for link in self.links()[1:]:
            w = np.moveaxis(value(link.variable), link.axis, -1)
            zero &= (w == 0).reshape(-1, len(zero)).all(axis=0)
        return [(self.y, np.where(zero, 0.0, np.nan))]

    def config(self, config, size, shift):
        # Its config holds what follows from the rest, and its own class won't take.
        follows = ("num_patches", "num_positions")
        config = {key: entry for key, entry in config.items() if key not in follows}
        bias = self.layer.use_patch_bias
        return config | {"hidden_dim": size(self.y), "use_patch_bias": bias}
