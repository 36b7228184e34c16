"""keras-hub's TransformerDecoder, in plain layers of Keras."""

import keras
import numpy as np

from tf_admm.structure.kinds import activations
from tf_admm.structure.kinds.attention import Heads
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.values import value
from tf_admm.structure.masking import mask_of


def opened(
    layer,
    parts,
    note,
    decoder_sequence,
    encoder_sequence=None,
    decoder_padding_mask=None,
    decoder_attention_mask=None,
    encoder_padding_mask=None,
    encoder_attention_mask=None,
    use_causal_mask=True,
    **others,
):
    """What a TransformerDecoder calls, with masks as `MultiHeadAttention` takes them.

    Its own code makes a causal mask of as many rows as there are positions, which are
    not known on no data.

    Args:
        layer: the layer.
        parts: dict from names to the layers that it holds.
        note: function that calls a layer by what its kind takes.

    Raises:
        ValueError: if it is called with a cache, or on what carries a mask of Keras.
    """
    inputs = [x for x in (decoder_sequence, encoder_sequence) if x is not None]
    given = [key for key, x in others.items() if key != "training" and x is not None]
    if given or any(mask_of(x) is not None for x in inputs):
        raise ValueError(f"Expected sequences and explicit masks. Received: {given}")

    def block(name, x, *inner):
        norm, drop = parts[f"{name}_layer_norm"], parts[f"{name}_dropout"]
        y = norm(x) if layer.normalize_first else x
        for one in inner:
            y = one(y)
        y = drop(y) + x
        return y if layer.normalize_first else norm(y)

    def attend(x):
        masks = {"attention_mask": decoder_attention_mask}
        masks |= {"value_mask": decoder_padding_mask}
        masks |= {"use_causal_mask": use_causal_mask}
        return note(parts["self_attention"], query=x, value=x, **_given(masks))

    def attend_across(x):
        masks = {"attention_mask": encoder_attention_mask}
        masks |= {"value_mask": encoder_padding_mask}
        across = {"query": x, "value": encoder_sequence}
        return note(parts["cross_attention"], **across, **_given(masks))

    x = block("self_attention", decoder_sequence, attend)
    if "cross_attention" in parts:
        x = block("cross_attention", x, attend_across)
    dense = [parts[f"feedforward_{part}_dense"] for part in ("intermediate", "output")]
    return block("feedforward", x, *dense)


def _given(masks):
    return {key: mask for key, mask in masks.items() if mask is not None}


class Cached(Heads):
    """CachedMultiHeadAttention: without a cache, Keras' own layer does the same."""

    def made(self, config):
        return keras.layers.MultiHeadAttention.from_config(config)


class Decoder(Kind):
    """TransformerDecoder that isn't opened: the hidden units of its dense layers.

    The channels that it reads and returns stay, and so do its heads: their size is
    made from their number.
    """

    opaque = False

    def __init__(self, call):
        super().__init__(call)
        self.hidden = keras.KerasTensor((1, self.layer.intermediate_dim))

    def why_opaque(self):
        return None

    def inner(self):
        return [self.hidden]

    def whole(self):
        why = f"'{self.layer.name}' normalises all of it"
        return [(x, why) for x in (*self.call.inputs, *self.call.outputs)]

    def _weight(self, path):
        return next(w for w in self.layer.weights if w.path.endswith(path))

    def links(self):
        every, first = self.all_of(self.hidden), "feedforward_intermediate_dense"
        out = self._weight("feedforward_output_dense/kernel")
        return [
            Link(MAKES, self._weight(f"{first}/kernel"), 1, self.hidden, every),
            Link(MAKES, self._weight(f"{first}/bias"), 0, self.hidden, every),
            Link(READS, out, 0, self.hidden, every),
            Link(MAKES, out, 1, self.y, self.all_of(self.y)),
        ]

    def constants(self, known):
        kernel, bias = (value(link.variable) for link in self.links()[:2])
        zero = (kernel == 0).all(axis=0) & (bias == 0)
        values = np.where(zero, 0.0, np.nan)
        return [(self.hidden, activations.activated(self.layer.activation, values))]

    def config(self, config, size, shift):
        # Built from its own record of shapes, which its name in a file needs.
        return config | {"intermediate_dim": size(self.hidden)}
