"""Layers that compute with more than their kernel, or with integers in its place."""

import keras
import numpy as np
import pytest
from keras import layers

import tf_admm
from tf_admm.constraints import GroupSparsity
from tf_admm.constraints import Sparsity

X = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
Y = X[:, :3]


def built():
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, "relu", name="a"),
            layers.Dense(3, name="b"),
        ]
    )


def adapted(model):
    model.get_layer("a").enable_lora(2)


def adapted_and_trained(model):
    adapted(model)
    model.get_layer("a").trainable = True


def quantized(model):
    model.get_layer("a").quantize("int8")


SAID = {
    adapted: r"`enable_lora` on \['a'\]. Merge it",
    adapted_and_trained: r"`enable_lora` on \['a'\]. Merge it",
    quantized: r"`quantize` was called on \['a'\]. Prune before",
}
#: What is asked for: of one kernel, and of the channels of all.
ASKED = {
    "admm": lambda model: tf_admm.ADMMModel(model, {"a": Sparsity(0.5)}),
    "samples": lambda model: tf_admm.prune_post_training(
        model, X, {"a": Sparsity(0.5)}, verbose=0
    ),
    "channels": lambda model: tf_admm.ADMMModel(model, {"a": GroupSparsity(0.5)}),
}


#: The channels of a layer whose weights nothing is known of.
UNKNOWN = "whose channels are not known"


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("change", SAID)
def test_what_has_no_zeros_of_its_own_is_not_pruned(change, ask):
    model = built()
    change(model)
    before = model.get_weights()
    said = f"{SAID[change]}|{UNKNOWN}" if ask == "channels" else SAID[change]
    with pytest.raises(ValueError, match=said):
        ASKED[ask](model)
    for value, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, other)


ADAPTED = {
    "embeddings": ((6,), lambda: layers.Embedding(20, 12)),
    "einsum": ((6, 8), lambda: layers.EinsumDense("abc,cd->abd", (6, 12))),
    "filters": ((6, 6, 2), lambda: layers.Conv2D(12, 3)),
}


@pytest.mark.parametrize("ask", ["admm", "samples"])
@pytest.mark.parametrize("kind", ADAPTED)
def test_the_name_of_a_layer_is_not_that_of_its_adapter(kind, ask):
    shape, make = ADAPTED[kind]
    layer = make()
    layer.name = "a"
    model = keras.Sequential([keras.Input(shape), layer, layers.Flatten()])
    adapted(model)
    with pytest.raises(ValueError, match=SAID[adapted]):
        ASKED[ask](model)


def test_other_layers_are_pruned_and_adapters_trained():
    model = built()
    adapted(model)
    admm = tf_admm.ADMMModel(model, {"b": Sparsity(0.5)})
    admm.finalize()
    assert np.sum(np.array(model.get_layer("b").kernel) == 0) == 24
    tf_admm.freeze_sparsity(model)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    assert np.any(np.array(model.get_layer("a").lora_kernel_b) != 0)
    assert np.sum(np.array(model.get_layer("b").kernel) == 0) == 24


def test_an_adapter_of_a_pruned_layer_is_trained_with_a_warning():
    admm = tf_admm.ADMMModel(built(), sparsity=0.5)
    admm.compile("adam", "mse")
    admm.fit(X, Y, epochs=1, verbose=0, callbacks=[tf_admm.ADMMCallback(1)])
    admm.finalize()
    adapted(admm.model)
    layer = admm.model.get_layer("a")
    before = np.array(layer.lora_kernel_b)
    admm.compile("adam", "mse")
    ours, rest = tf_admm.ADMMCallback(1), {"epochs": 2, "initial_epoch": 1}
    with pytest.warns(UserWarning, match=r"`enable_lora` on \['a'\]"):
        admm.fit(X, Y, verbose=0, callbacks=[ours], **rest)
    with pytest.warns(UserWarning, match=r"`enable_lora` on \['a'\]"):
        tf_admm.freeze_sparsity(admm.model)
    admm.model.compile("adam", "mse")
    admm.model.fit(X, Y, verbose=0)
    assert np.all(before == 0.0) and np.any(np.array(layer.lora_kernel_b) != 0.0)


def test_the_way_out_keeps_what_was_learned(tmp_path):
    model, path = built(), tmp_path / "merged.weights.h5"
    adapted(model)
    layer = model.get_layer("a")
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    model.save_weights(path)
    merged = built()
    merged.load_weights(path)
    found, expected = (x.predict(X, verbose=0) for x in (merged, model))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    tf_admm.ADMMModel(merged, {"a": Sparsity(0.5)}).finalize()
    assert np.sum(np.array(merged.get_layer("a").kernel) == 0) == 64


@pytest.mark.parametrize(
    "make",
    [
        lambda model, path: tf_admm.export.to_tflite(model, path),
        lambda model, path: tf_admm.report(model, verbose=0),
    ],
    ids=["to_tflite", "report"],
)
def test_files_are_made_of_floats(make, tmp_path):
    model = built()
    quantized(model)
    with pytest.raises(ValueError, match="as it was before that, with dtype='int8'"):
        make(model, tmp_path / "a.tflite")
    assert not list(tmp_path.iterdir())
