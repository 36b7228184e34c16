"""What layers are called on."""

import contextlib


@contextlib.contextmanager
def watched(layers, seen):
    """While the body runs, tell `seen(layer, x)` before each call of these layers."""
    layers = {id(layer): layer for layer in layers}.values()
    for layer in layers:
        layer.call = _watched(layer, layer.call, seen)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _watched(layer, call, seen):
    def watched_call(*args, **kwargs):
        seen(layer, (*args, *kwargs.values())[0])
        return call(*args, **kwargs)

    return watched_call
