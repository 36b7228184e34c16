"""In which precision a model computes."""

import contextlib
import random
import warnings

import keras

from tf_admm.structure import walking


@contextlib.contextmanager
def float32_compute(model):
    """Lets the mixed-precision layers of `model` compute as they store.

    The variables of such layers are float32, so nothing of the model is lost; and
    no layer casts what another puts out, which makes another tensor of it. TFLite
    has no half-precision matrix product.
    """
    mixed = [
        (layer, layer.dtype_policy)
        for layer in {layer: None for layer, _ in walking.walk(model)}
        if layer.compute_dtype != layer.variable_dtype
        and layer.dtype_policy.quantization_mode is None
    ]
    try:
        for layer, _ in mixed:
            layer.dtype_policy = layer.variable_dtype
        yield
    finally:
        for layer, policy in mixed:
            layer.dtype_policy = policy


@contextlib.contextmanager
def trial():
    """A scope in which layers are made of float32, and random numbers are not used up.

    What is drawn after it is what would have been drawn without it. Keras' warning of
    layers without `build` is about what is tried, and so is left out.
    """
    policy, state = keras.config.dtype_policy(), random.getstate()
    keras.config.set_dtype_policy("float32")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`build\(\)` was called on layer")
            yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(state)
