"""How often each weight is multiplied, for one sample."""

import collections
import contextlib
import math

import keras
from keras import ops

from tf_admm.structure import kernels


def uses(model):
    """How often one weight of each kernel is multiplied, for one sample.

    Found by calling the model on one sample of zeros, and looking at what each
    layer receives and returns.

    Args:
        model: a functional or sequential Keras model.

    Returns:
        Dict from `id(variable)` to int.

    Raises:
        ValueError: if the model is not a graph of layers, or has axes of unknown
            size besides the batch.
    """
    found = kernels.find(model)
    counts = [collections.Counter()]
    with contextlib.ExitStack() as stack:
        for layer in {id(layer): layer for layer, _ in kernels.walk(model)}.values():
            mine = [kernel for kernel in found if kernel.layer is layer]
            stack.enter_context(_watched(layer, mine, counts))
        model(zeros(model))
    missed = [kernel.path for kernel in found if id(kernel.variable) not in counts[0]]
    if missed:
        raise ValueError(
            "Expected layers whose calls can be seen, to count multiplications. "
            f"Received: {missed}, which the model does not use, or not by a call"
        )
    return counts[0]


def zeros(model):
    """One sample of zeros, in the structure of the model's inputs.

    Raises:
        ValueError: if the model is not a graph of layers, or has axes of unknown
            size besides the batch.
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            "Expected a built functional or sequential model, whose shapes are "
            f"known. Received: the model '{model.name}' of type "
            f"{type(model).__name__}"
        )
    # A `Sequential` that was never called has `inputs`, but no `input`.
    structure = model.inputs[0] if len(model.inputs) == 1 else model.input
    for x in keras.tree.flatten(structure):
        if None in x.shape[1:]:
            raise ValueError(
                "Expected inputs of known size, without `None` but for the batch. "
                f"Received: the model '{model.name}' with an input of shape {x.shape}"
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
            key, places = id(kernel.variable), _places(kernel, inputs, outputs)
            counts[-1][key] = places + (counts[-1][key] if len(counts) == 1 else 0)
        return outputs

    layer.call = watched
    try:
        yield
    finally:
        del layer.call


def _places(kernel, inputs, outputs):
    """Places that one weight is multiplied at in one call."""
    rule = next(PLACES[c] for c in type(kernel.layer).__mro__ if c in PLACES)
    return rule(kernel, inputs, keras.tree.flatten(outputs)[0])


def _of_outputs(kernel, inputs, outputs):
    return math.prod(outputs.shape[1:-1])


def _of_inputs(kernel, inputs, outputs):
    return math.prod(inputs.shape[1:-1])


def _of_equation(kernel, inputs, outputs):
    return math.prod(outputs.shape[1:]) // kernel.shape[-1]


def _nowhere(kernel, inputs, outputs):
    return 0


PLACES = {
    keras.layers.Layer: _of_outputs,
    keras.layers.Conv1DTranspose: _of_inputs,
    keras.layers.Conv2DTranspose: _of_inputs,
    keras.layers.Conv3DTranspose: _of_inputs,
    keras.layers.EinsumDense: _of_equation,
    keras.layers.Embedding: _nowhere,
}
