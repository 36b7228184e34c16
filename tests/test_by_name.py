"""Weights under any name: asked for by their paths, planned, saved and frozen."""

import pathlib

import custom_layers
import keras
import numpy as np
import pytest
from keras import layers

import tf_admm
from tf_admm.constraints import Clusters
from tf_admm.constraints import Sparsity
from tf_admm.structure import kernels

FILES = pathlib.Path(__file__).parent / "files"
HALF = Sparsity(0.5)


class Tied(keras.Model):
    """Embeddings as output projection, and a weight of the model itself."""

    def __init__(self):
        super().__init__(name="tied")
        self.table = layers.Embedding(20, 8, name="table")
        self.fc = layers.Dense(8, name="fc")
        self.mix = self.add_weight(shape=(8, 8), name="mix")

    def call(self, x):
        h = keras.ops.matmul(self.fc(self.table(x)), self.mix)
        return keras.ops.matmul(h, keras.ops.transpose(self.table.embeddings))


def tied():
    model = Tied()
    model(np.zeros((1, 3), "int32"))
    return model


def lora():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, name="fc")])
    model.get_layer("fc").enable_lora(2)
    return model


#: How to make a model, a key, and the paths that it reaches.
KEYS = [
    (custom_layers.custom, "mixed/w", ["mixed/w"]),
    (custom_layers.custom, "mixed", ["mixed/w"]),
    (custom_layers.custom, "fc1", ["fc1/kernel"]),
    (custom_layers.custom, ".*", ["fc1/kernel", "fc2/kernel"]),
    (tied, "mix", ["mix"]),
    (tied, "table", ["table/embeddings"]),
    (tied, ".*", ["fc/kernel"]),
    (lora, "fc", ["fc/kernel"]),
    (lora, "fc/lora_kernel_a", ["fc/lora_kernel_a"]),
]


@pytest.mark.parametrize("build, key, paths", KEYS)
def test_what_a_key_reaches(build, key, paths):
    model = build()
    # The kernel under the factors of `enable_lora` is frozen.
    for kernel in kernels.find(model):
        kernel.variable.trainable = True
    rows = tf_admm.plan(model, {key: HALF}).rows
    assert [row.path for row in rows if row.constraint is not None] == paths


def test_a_lone_constraint_leaves_them():
    rows = {row.path: row for row in tf_admm.plan(custom_layers.custom(), HALF).rows}
    assert list(rows) == ["mixed/w", "fc1/kernel", "fc2/kernel"]
    assert rows["mixed/w"].why == "only by its own name"


@pytest.mark.parametrize(
    "key", ["mixed/fixed", "mixed/counts", "mixed/vector", "mixed/.*"]
)
def test_what_can_not_be_asked_for(key):
    with pytest.raises(ValueError, match="which matches none of"):
        tf_admm.plan(custom_layers.custom(), {key: HALF})


def test_axes_of_a_name_that_is_not_known():
    found = {k.path: k for k in kernels.find(custom_layers.custom())}
    assert found["mixed/w"].axes == ((0,), (1,)) and found["mixed/w"].shape == (4, 6)


def test_the_plan_counts_all_parameters(capsys):
    model = custom_layers.custom()
    plan = tf_admm.plan(model, HALF)
    # fixed, counts, vector, bias of two axes, and the biases of the layers.
    assert plan.rest == 4 + 4 + 6 + 6 + 8 + 2
    assert plan.parameters == plan.total + plan.rest == model.count_params()
    said = capsys.readouterr().out
    assert "the rest" in said and f"{plan.rest / plan.parameters:.1%}" in said


def test_training_to_exact_sparsity_and_freezing():
    model = custom_layers.custom()
    admm = tf_admm.ADMMModel(model, {"mixed/w": HALF, "fc1": Sparsity(0.75)}, rho=0.1)
    admm.compile("adam", "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    fit = dict(verbose=0, batch_size=8)
    admm.fit(x, x[:, :2], epochs=3, callbacks=[tf_admm.ADMMCallback(2)], **fit)
    w = model.get_layer("mixed").w
    assert np.count_nonzero(w) == 12
    tf_admm.freeze_sparsity(model)
    model.compile("adam", "mse", jit_compile=False)
    zeros = np.array(w) == 0
    model.fit(x, x[:, :2], **fit)
    np.testing.assert_array_equal(np.array(w) == 0, zeros)


# Files, in which kernels are named by their places.


def test_files_of_the_first_release_name_the_same_kernels():
    """A weight that it didn't know stands before the kernels."""
    for load in ("keras", "weights"):
        if load == "keras":
            admm = keras.saving.load_model(FILES / "release_1_custom.keras")
        else:
            sets = {"fc1": HALF, "fc2": Sparsity(0.25)}
            admm = tf_admm.ADMMModel(custom_layers.custom(), sets, rho=0.1)
            admm.load_weights(FILES / "release_1_custom.weights.h5")
        assert admm.phase == "retraining"
        counts = {r.path: r.kept for r in tf_admm.summary(admm.model).rows}
        assert counts == {"mixed/w": 24, "fc1/kernel": 24, "fc2/kernel": 12}


def test_a_file_does_not_depend_on_what_is_trainable(tmp_path):
    model = custom_layers.custom()
    admm = tf_admm.ADMMModel(model, {"mixed": HALF, "fc1": Clusters(4)})
    admm.finalize()
    model.get_layer("mixed").trainable = False
    admm.save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    for now, then in zip(loaded.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(now, then)
    assert [slot.kernel.path for slot in loaded._slots] == ["mixed/w", "fc1/kernel"]


# A model's file, compressed.


def test_a_pruned_model_is_saved_small_and_the_same(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((20, 20, 1)),
            layers.Conv2D(20, 5, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(50, activation="relu", name="fc1"),
            layers.Dense(10, name="fc2"),
        ]
    )
    admm = tf_admm.ADMMModel(model, Sparsity(0.95))
    admm.finalize()
    model.save(tmp_path / "plain.keras")
    size = tf_admm.save_compressed(model, tmp_path / "small.keras")
    assert size == (tmp_path / "small.keras").stat().st_size
    assert size * 5 < (tmp_path / "plain.keras").stat().st_size
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plain.keras", "small.keras"]


@pytest.mark.parametrize(
    "model, name, said",
    [
        (custom_layers.custom, "model.h5", "ends in '.keras'"),
        (lambda: keras.Sequential([layers.Dense(2)]), "m.keras", "a built model"),
    ],
)
def test_bad_input_of_save_compressed(model, name, said, tmp_path):
    with pytest.raises(ValueError, match=f"Expected.*{said}.*Received"):
        tf_admm.save_compressed(model(), tmp_path / name)
    assert not list(tmp_path.iterdir())
