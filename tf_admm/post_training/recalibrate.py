"""Statistics of batch normalisation, of the weights as they are."""

from typing import Any

import keras
import numpy as np

from tf_admm import arguments
from tf_admm.export.tflite import states
from tf_admm.post_training import checking
from tf_admm.structure import checks
from tf_admm.structure import statistics


def recalibrate(model: keras.Model, samples: Any, *, batch_size: int = 64) -> None:
    """Measure the statistics of batch normalisation anew: no labels, no training.

    They are averages over the steps of a training, and are off where weights changed
    since, as by a cut without training, or where training was short for their momentum:
    MobileNet's is 0.999, by which a third of what was before is left after 1,000 steps.
    The mean and the variance of each channel become those of the batches, averaged.

    The model is called as in training. Layers that are not trainable stay, as does all
    else; a model without `BatchNormalization` is left as it is.

    Args:
        model: a built Keras model, changed in place.
        samples: inputs in the structure of the model's, as arrays: some thousands, of
            the data it was trained on.
        batch_size: int, positive; that of the training is best.

    Raises:
        ValueError: if the samples don't fit the model, or aren't finite.

    Example:

    >>> norm = keras.layers.BatchNormalization(momentum=0.999)
    >>> model = keras.Sequential([keras.Input((3,)), norm])
    >>> samples = np.random.default_rng(0).normal(5.0, size=(640, 3)).astype("float32")
    >>> tf_admm.recalibrate(model, samples)
    >>> np.allclose(norm.moving_mean, samples.mean(axis=0), atol=1e-3)
    True

    Reference: Li et al., 2020, "EagleEye", arXiv:2007.02491, section 3.3.
    """
    checks.check_built(model)
    samples = checking.checked(model, samples)
    if not arguments.is_whole(batch_size) or batch_size < 1:
        raise ValueError(
            "Invalid value for argument `batch_size`. Expected a positive int. "
            f"Received: batch_size={batch_size!r}"
        )
    found, before = statistics.layers(model), model.get_weights()
    try:
        with states.fresh(model), checking.called(model, samples):
            measured = _measured(model, found, samples, batch_size)
    finally:
        # In training some layers write to their kernels, as `SpectralNormalization`.
        model.set_weights(before)
    for variable, value in measured:
        variable.assign(value)


def _measured(model, found, samples, batch_size):
    """List of `(variable, value)`, the statistics after a call on all samples."""
    before = [layer.momentum for layer in found]
    rows = len(keras.tree.flatten(samples)[0])
    try:
        for start in range(0, rows, batch_size):
            batch = keras.tree.map_structure(
                lambda x, start=start: x[start : start + batch_size], samples
            )
            size = min(batch_size, rows - start)
            for layer in found:
                # The average so far counts as many rows as it is of.
                layer.momentum = start / (start + size)
            model(batch, training=True)
    finally:
        for layer, momentum in zip(found, before):
            layer.momentum = momentum
    variables = [v for each in found for v in (each.moving_mean, each.moving_variance)]
    return [(v, np.array(v)) for v in variables]
