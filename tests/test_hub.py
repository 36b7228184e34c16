"""keras-hub's backbones by channels; run where keras-hub is installed."""

import keras
import numpy as np
import pytest
import test_channel_groups as graphs
from keras import layers

import tf_admm

SIZES = {"num_layers": 2, "num_heads": 4, "hidden_dim": 16}
WORDS = {"vocabulary_size": 30, "intermediate_dim": 32}
TEXT = {**SIZES, **WORDS, "max_sequence_length": 12}
IMAGES = {**SIZES, "image_shape": (32, 32, 3), "patch_size": 8, "mlp_dim": 32}
SHARED_HEADS = {"num_query_heads": 4, "num_key_value_heads": 2}
LLM = {"num_layers": 2, "hidden_dim": 16, **WORDS, **SHARED_HEADS}
#: Name: options, and the groups that can be pruned, by what is in their names.
BACKBONES = {
    "BertBackbone": (TEXT, {"token_embedding": 1, "query": 2, "intermediate": 2}),
    "GPT2Backbone": (TEXT, {"token": 1, "query": 2, "intermediate": 2}),
    "BartBackbone": (TEXT, {"token": 1, "query": 6, "intermediate": 4}),
    "ViTBackbone": (IMAGES, {"patch_embedding": 1, "query": 2, "dense_1": 2}),
    # Their blocks stay what they are, and lose hidden units.
    "MistralBackbone": ({**LLM, "sliding_window": 4}, {"gate": 2}),
    "GemmaBackbone": ({**LLM, "head_dim": 8}, {"gating": 2}),
    "Phi3Backbone": (LLM, {"gate": 2}),
    "QwenBackbone": (LLM, {"gate": 2}),
    "FalconBackbone": (
        {"num_layers": 2, "num_attention_heads": 4, "hidden_dim": 16, **WORDS},
        {"dense_h_to_4h": 2},
    ),
    "BloomBackbone": (TEXT, {"mlp_intermediate": 2}),
    "T5Backbone": ({**SIZES, **WORDS}, {"input_projector": 4}),
    "WhisperBackbone": ({**SIZES, **WORDS}, {"decoder_layer": 2}),
    "DINOV2Backbone": (
        {**SIZES, "intermediate_dim": 32, "patch_size": 8, "image_shape": (32, 32, 3)},
        {"mlp": 2},
    ),
    "MiTBackbone": (
        {
            "image_shape": (32, 32, 3),
            "num_layers": 2,
            "layerwise_depths": [1, 1],
            "layerwise_num_heads": [1, 2],
            "layerwise_sr_ratios": [2, 1],
            "max_drop_path_rate": 0.1,
            "hidden_dims": [16, 32],
            "layerwise_patch_sizes": [7, 3],
            "layerwise_strides": [4, 2],
        },
        {"patch_and_embed": 2, "attention": 5, "mix_ffn": 2},
    ),
}
LAST = "decoder_sequence_output"


def classifier(name):
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")
    backbone = getattr(hub.models, name)(**BACKBONES[name][0])
    y = backbone.output
    y = y.get("sequence_output", y.get(LAST)) if isinstance(y, dict) else y
    y = layers.Reshape((-1, y.shape[-1]))(y)
    y = layers.GlobalAveragePooling1D()(y)
    return keras.Model(backbone.input, layers.Dense(3, name="classes")(y))


def sequences(model):
    """Inputs of a model; sequences end at different places, and are padded."""
    x = graphs.inputs_of(model)
    for key in [key for key in x if "mask" in key] if isinstance(x, dict) else []:
        rows, length = x[key].shape
        x[key] = (np.arange(length) < np.arange(1, rows + 1)[:, None]).astype("int32")
    if "segment_ids" in x:
        x["segment_ids"] = x["segment_ids"] % 2
    return x


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(BACKBONES))
def test_half_of_the_channels_go(name):
    model = graphs.made(lambda: classifier(name))
    groups = tf_admm.channel_groups(model, verbose=0).prunable
    for part, count in BACKBONES[name][1].items():
        assert sum(part in group.name for group in groups) == count
    for group in groups:
        graphs.kill(group, np.arange(group.channels // 2))
    x = sequences(model)
    expected = np.array(model(x))
    small, report = tf_admm.shrink(model, samples=x, verbose=0)
    for group in groups:
        left, total = report.units[group.producers[0].path]
        assert 2 * left == total
    limit = 1e-5 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(np.array(small(x)), expected, atol=limit)


def decoder_model(normalize_first, masks, across):
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")
    tokens = layers.Input((7,), dtype="int32", name="tokens")
    x = layers.Embedding(10, 8, mask_zero=masks == "Keras")
    options = {"normalize_first": normalize_first, "activation": "gelu"}
    decoder = hub.layers.TransformerDecoder(16, 2, name="decoder", **options)
    given = {"encoder_sequence": layers.Dense(8)(layers.Reshape((7, 1))(tokens))}
    given = given if across else {}
    if masks == "explicit":
        given["decoder_padding_mask"] = tokens > 2
        given["decoder_attention_mask"] = layers.Lambda(triples)(tokens)
        if across:
            given["encoder_padding_mask"] = tokens > 3
    if masks == "none":
        given["use_causal_mask"] = False
    y = decoder(x(tokens), **given)
    return keras.Model(tokens, layers.Dense(3, name="head")(y))


def triples(tokens):
    """What each position may see, besides: those up to three before it."""
    far = keras.ops.arange(7)[:, None] - keras.ops.arange(7) < 3
    return keras.ops.logical_and(tokens[:, None] > 0, far[None])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("masks", ["none", "explicit", "Keras", "causal"])
@pytest.mark.parametrize("normalize_first", [False, True])
def test_decoders(normalize_first, masks, across):
    """Opened, or where Keras' own masks run through it, its hidden units alone."""
    model = graphs.made(lambda: decoder_model(normalize_first, masks, across))
    groups = tf_admm.channel_groups(model, verbose=0).prunable
    names = " ".join(group.name for group in groups)
    assert "intermediate" in names
    assert ("query" in names) == (masks != "Keras")
    for group in groups:
        graphs.kill(group, np.arange(group.channels // 2))
    x = graphs.inputs_of(model)
    x[:, 5:] %= 3
    expected = np.array(model(x))
    small, report = tf_admm.shrink(model, samples=x, verbose=0)
    for group in groups:
        left, total = report.units[group.producers[0].path]
        assert 2 * left == total
    np.testing.assert_allclose(np.array(small(x)), expected, atol=1e-5)
