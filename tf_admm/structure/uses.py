"""How often each weight is multiplied, for one sample."""

import collections
import contextlib

import keras
import numpy as np
from keras import ops

from tf_admm.structure import kernels
from tf_admm.structure import kinds
from tf_admm.structure import seeds
from tf_admm.structure import walking
from tf_admm.structure.tracing import symbolic_inputs


def uses(model, samples=None):
    """How often one weight of each kernel is multiplied, for one sample.

    Found by calling the model on one sample of zeros, and looking at what each
    layer receives and returns.

    Args:
        model: a functional or sequential Keras model.
        samples: inputs in the structure of the model's, for models with axes of
            unknown size; only their shapes count.

    Returns:
        Dict from `id(variable)` to int.

    Raises:
        ValueError: if the model is not a graph of layers, or has axes of unknown
            size besides the batch and no samples are given.
    """
    found = kernels.find(model)
    counts = [collections.Counter()]
    with seeds.kept(model), contextlib.ExitStack() as stack:
        for layer in {id(layer): layer for layer, _ in walking.walk(model)}.values():
            mine = [kernel for kernel in found if kernel.layer is layer]
            stack.enter_context(_watched(layer, mine, counts))
        # Keras runs all of a model as in training where one layer does by default.
        model(zeros(model, samples), training=False)
    missed = [
        kernel.path
        for kernel in found
        if id(kernel.variable) not in counts[0] and not kernel.by_name_only
    ]
    if missed:
        raise ValueError(
            "Expected layers whose calls can be seen, to count multiplications. "
            f"Received: {missed}, which the model does not use, or not by a call"
        )
    return counts[0]


def zeros(model, samples=None):
    """One sample of zeros, in the structure of the model's inputs.

    Args:
        model: a functional or sequential Keras model.
        samples: inputs that say the sizes which the model leaves open.

    Raises:
        ValueError: if the model is not a graph of layers, or has axes of unknown
            size besides the batch and no samples are given.
    """
    structure = symbolic_inputs(model)
    if samples is not None:
        samples = keras.tree.map_structure(np.asarray, samples)
        return keras.tree.map_structure(
            lambda x: ops.zeros((1, *x.shape[1:]), dtype=x.dtype.name), samples
        )
    for x in keras.tree.flatten(structure):
        if None in x.shape[1:]:
            raise ValueError(
                "Expected inputs of known size, without `None` but for the batch, or "
                f"`samples` that say it. Received: the model '{model.name}' with an "
                f"input of shape {x.shape}"
            )
    return keras.tree.map_structure(
        lambda x: ops.zeros((1, *x.shape[1:]), dtype=x.dtype), structure
    )


@contextlib.contextmanager
def _watched(layer, mine, counts):
    """Note, at each call of the layer, how often its weights are multiplied.

    `counts` is a stack: a recurrent layer calls its cell once more than there are
    steps, so what is below it is counted once, and multiplied by the steps.
    """
    call = layer.call
    recurrent = isinstance(layer, keras.layers.RNN)

    def watched(*args, **kwargs):
        inputs = (*args, *kwargs.values())[0]
        if recurrent:
            counts.append(collections.Counter())
        outputs = call(*args, **kwargs)
        if recurrent:
            below = counts.pop()
            counts[-1].update({key: n * inputs.shape[1] for key, n in below.items()})
        for kernel in mine:
            key, places = (
                id(kernel.variable),
                kinds.places(kernel, inputs, keras.tree.flatten(outputs)[0]),
            )
            counts[-1][key] = places + (counts[-1][key] if len(counts) == 1 else 0)
        return outputs

    layer.call = watched
    try:
        yield
    finally:
        del layer.call
