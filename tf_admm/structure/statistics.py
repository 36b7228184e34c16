"""The statistics of batch normalisation, which follow the weights in training.

After n steps of momentum m, m^n of them is still of the weights before: a third, after
the 1,000 steps of a short retraining by the 0.999 of MobileNet.
"""

import contextlib

import keras

from tf_admm.structure import walking

#: What is left of old statistics where they have followed, and where they are slow.
FOLLOWED, SLOW = 0.01, 0.05
#: A lower momentum makes an average of too few batches.
LEAST = 0.9


def layers(model):
    """The layers of a model whose statistics training changes."""
    found = {id(layer): layer for layer, _ in walking.walk(model)}
    return [
        layer
        for layer in found.values()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


def slow(model, steps):
    """The layers whose statistics are still old after so many steps of training."""
    return [layer for layer in layers(model) if layer.momentum**steps > SLOW]


def momentum(steps):
    """That of statistics which follow within so many steps."""
    return max(LEAST, FOLLOWED ** (1.0 / steps))


@contextlib.contextmanager
def following(model, steps):
    """Statistics follow within so many steps, in what is trained meanwhile.

    Momentum is read as a training step is traced, and is put back.
    """
    found = [(layer, layer.momentum) for layer in layers(model)]
    try:
        for layer, before in found:
            layer.momentum = min(before, momentum(steps))
        yield
    finally:
        for layer, before in found:
            layer.momentum = before
