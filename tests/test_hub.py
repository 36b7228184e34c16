"""keras-hub's backbones by channels; run where keras-hub is installed."""

import keras
import numpy as np
import pytest
import test_channel_groups as graphs
from keras import layers

import tf_admm

SIZES = {"num_layers": 2, "num_heads": 4, "hidden_dim": 16}
TEXT = {"vocabulary_size": 30, "intermediate_dim": 32, "max_sequence_length": 12}
IMAGES = {"image_shape": (32, 32, 3), "patch_size": 8, "mlp_dim": 32}
#: Name: options, and the groups that can be pruned, by what is in their names.
BACKBONES = {
    "BertBackbone": (TEXT, {"token_embedding": 1, "query": 2, "intermediate": 2}),
    "GPT2Backbone": (TEXT, {"feedforward_intermediate": 2}),
    "ViTBackbone": (IMAGES, {"patch_embedding": 1, "query": 2, "dense_1": 2}),
}


def classifier(name):
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")
    backbone = getattr(hub.models, name)(**SIZES, **BACKBONES[name][0])
    y = backbone.output
    y = y["sequence_output"] if isinstance(y, dict) else y
    y = layers.Dense(3, name="classes")(layers.GlobalAveragePooling1D()(y))
    return keras.Model(backbone.input, y)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(BACKBONES))
def test_half_of_the_channels_go(name):
    model = graphs.made(lambda: classifier(name))
    groups = tf_admm.channel_groups(model, verbose=0).prunable
    for part, count in BACKBONES[name][1].items():
        assert sum(part in group.name for group in groups) == count
    for group in groups:
        graphs.kill(group, np.arange(group.channels // 2))
    x = graphs.inputs_of(model)
    if "segment_ids" in x:
        x["segment_ids"] = x["segment_ids"] % 2
    expected = np.array(model(x))
    small, report = tf_admm.shrink(model, samples=x, verbose=0)
    for group in groups:
        left, total = report.units[group.producers[0].path]
        assert 2 * left == total
    limit = 1e-5 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(np.array(small(x)), expected, atol=limit)
