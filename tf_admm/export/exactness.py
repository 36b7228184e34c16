"""Models in float32 as a CPU computes it, which files are compared with.

On GPUs backends round what goes into products to 10 bits (TF32), by default or where
they are told to: about 1e-3, a hundred times what a float32 file may differ by.
"""

import contextlib

import keras


@contextlib.contextmanager
def exact():
    """No TF32 in what is computed within this, on the backend that Keras is on."""
    ways = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}
    way = ways.get(keras.config.backend(), contextlib.nullcontext)
    with way():
        yield


@contextlib.contextmanager
def _on_tensorflow():
    from tensorflow.config import experimental as config

    before = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        config.enable_tensor_float_32_execution(before)


def _on_jax():
    import jax

    return jax.default_matmul_precision("float32")


@contextlib.contextmanager
def _on_torch():
    import torch

    products, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn
    convolutions = cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        cudnn.allow_tf32 = convolutions
