"""Zeros of a plain Keras model stay zero."""

import keras
import numpy as np
import pytest

import models
import tf_admm
from tf_admm.admm import freezing
from tf_admm.constraints import Sparsity
from tf_admm.structure import kernels


def pruned(task):
    """The task's model with half of every kernel zero, as ADMM leaves it."""
    admm = tf_admm.ADMMModel(task.model, Sparsity(0.5))
    admm.finalize()
    return admm.model


def zeros(model):
    return [np.array(k.variable) == 0 for k in kernels.find(model)]


def assert_kept(model, before):
    assert sum(z.sum() for z in before) > 0
    for now, then in zip(zeros(model), before):
        assert now[then].all()


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adamw": lambda: keras.optimizers.AdamW(1e-2, weight_decay=0.1),
    "nadam": lambda: keras.optimizers.Nadam(1e-2),
    "lion": lambda: keras.optimizers.Lion(1e-2),
    "ftrl": lambda: keras.optimizers.Ftrl(0.1),
    "clipped": lambda: keras.optimizers.Adam(1e-2, global_clipnorm=0.1),
    "accumulating": lambda: keras.optimizers.Adam(1e-2, gradient_accumulation_steps=2),
}


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(
            make,
            marks=() if name in ("sgd", "adamw", "clipped") else pytest.mark.slow,
            id=name,
        )
        for name, make in OPTIMIZERS.items()
    ],
)
def test_no_optimizer_moves_a_zero(optimizer):
    task = models.mlp()
    model = pruned(task)
    before, weights = zeros(model), model.get_weights()
    assert tf_admm.freeze_sparsity(model) is model
    model.compile(optimizer(), jit_compile=False, **task.compile_args())
    model.fit(task.x, task.y, epochs=2, verbose=0)
    assert_kept(model, before)
    assert any((now != then).any() for now, then in zip(model.get_weights(), weights))


@pytest.mark.parametrize(
    "name, jit_compile",
    [
        ("residual", True),
        pytest.param("subclassed", False, marks=pytest.mark.slow),
        pytest.param("lstm", False, marks=pytest.mark.slow),
        ("attention", False),
    ],
)
def test_of_any_model(name, jit_compile):
    task = models.MODELS[name]()
    model = pruned(task)
    before = zeros(model)
    tf_admm.freeze_sparsity(model)
    model.compile("adam", jit_compile=jit_compile, **task.compile_args())
    model.fit(task.x, task.y, verbose=0)
    assert_kept(model, before)


def test_without_it_the_zeros_grow():
    task = models.mlp()
    model = pruned(task)
    before = zeros(model)
    model.compile("adam", jit_compile=False, **task.compile_args())
    model.fit(task.x, task.y, verbose=0)
    assert not all(now[then].all() for now, then in zip(zeros(model), before))


def test_of_a_model_that_was_trained_before():
    task = models.mlp()
    model = pruned(task)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False, **task.compile_args())
    model.fit(task.x, task.y, verbose=0)
    before = zeros(model)
    tf_admm.freeze_sparsity(model)
    model.optimizer.learning_rate.assign(0.1)
    model.fit(task.x, task.y, verbose=0)
    assert_kept(model, before)


def test_another_head_on_a_pruned_backbone():
    """Transfer learning: the layers keep their zeros in the new model."""
    backbone = pruned(models.mlp())
    tf_admm.freeze_sparsity(backbone)
    x = backbone.layers[-2].output
    model = keras.Model(backbone.input, keras.layers.Dense(5, name="new")(x))
    before = zeros(model)
    model.compile("adam", "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    model.fit(x, np.ones((64, 5)), epochs=2, verbose=0)
    assert_kept(model, before)
    assert np.all(model.get_layer("new").kernel != 0)


def test_a_new_layer_that_is_zero_throughout_is_named():
    backbone = pruned(models.mlp())
    head = keras.layers.Dense(5, kernel_initializer="zeros", name="new")
    model = keras.Model(backbone.input, head(backbone.layers[-2].output))
    with pytest.warns(UserWarning, match="zero throughout.*'new/kernel'"):
        tf_admm.freeze_sparsity(model)


def test_the_constraint_that_was_there_counts_first():
    task = models.mlp(kernel_constraint=keras.constraints.NonNeg())
    model = pruned(task)
    before = zeros(model)
    tf_admm.freeze_sparsity(model)
    model.compile(keras.optimizers.SGD(0.5), jit_compile=False, **task.compile_args())
    model.fit(task.x, task.y, verbose=0)
    assert_kept(model, before)
    assert all(np.min(model.layers[i].kernel) >= 0 for i in (1, 3))


def test_averages_are_put_back_by_a_second_call():
    task = models.mlp()
    model = pruned(task)
    before = zeros(model)
    tf_admm.freeze_sparsity(model)
    model.compile(
        keras.optimizers.Adam(1e-2, use_ema=True),
        jit_compile=False,
        **task.compile_args(),
    )
    model.fit(task.x, task.y, epochs=2, verbose=0)
    averages = model.get_weights()
    tf_admm.freeze_sparsity(model)
    assert_kept(model, before)
    for kernel, average in zip(model.get_weights(), averages):
        assert ((kernel == average) | (kernel == 0)).all()


def test_zeros_that_have_come_since_are_frozen_too():
    task = models.mlp()
    model = pruned(task)
    tf_admm.freeze_sparsity(model)
    tf_admm.ADMMModel(model, Sparsity(0.9)).finalize()
    tf_admm.freeze_sparsity(model)
    before = zeros(model)
    assert before[0].mean() > 0.85
    model.compile("adam", jit_compile=False, **task.compile_args())
    model.fit(task.x, task.y, verbose=0)
    assert_kept(model, before)


def test_it_saves_and_loads_without_the_package(tmp_path):
    model = pruned(models.mlp())
    config, path = model.get_config(), tmp_path / "model.keras"
    tf_admm.freeze_sparsity(model)
    assert model.get_config() == config
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert all(v.constraint is None for v in loaded.variables)
    before = zeros(loaded)
    tf_admm.freeze_sparsity(loaded)
    assert_kept(loaded, before)


def test_it_has_no_config():
    variable = pruned(models.mlp()).layers[1].kernel
    with pytest.raises(ValueError, match="no config of its own"):
        freezing.FrozenZeros(variable, variable != 0).get_config()


def test_bad_input():
    with pytest.raises(ValueError, match="model with zeros.*without any"):
        tf_admm.freeze_sparsity(models.mlp().model)
    with pytest.raises(ValueError, match="Expected a built model"):
        tf_admm.freeze_sparsity(keras.Sequential([keras.layers.Dense(2)]))
