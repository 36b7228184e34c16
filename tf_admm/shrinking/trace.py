"""Which layer reads which tensor, found by running the model once."""

import contextlib
import dataclasses
from typing import Any

import keras

from tf_admm import costs


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of one layer, or of an operation between layers.

    Attributes:
        layer: what was called.
        inputs: list of tensors.
        outputs: list of tensors.
    """

    layer: Any
    inputs: list
    outputs: list


@dataclasses.dataclass(frozen=True)
class Trace:
    """The calls of a model, in order, and the tensors at its borders.

    Attributes:
        calls: list of `Call`, of layers that hold no model.
        borders: tensors whose last axis must stay: what goes into the model and
            into the models in it, and what comes out of the model.
    """

    calls: list
    borders: list


def trace(model):
    """Run a functional or sequential model on one sample of zeros.

    Args:
        model: the model; models in it, too, must be functional or sequential.

    Raises:
        ValueError: if one of them is of another kind, in which what happens
            between the layers can't be seen.
    """
    calls, borders = [], []
    with contextlib.ExitStack() as stack:
        for operation in _operations(model):
            stack.enter_context(_watched(operation, calls, borders))
        x = costs.zeros(model)
        outputs = model(x, training=False)
    borders += keras.tree.flatten(x) + keras.tree.flatten(outputs)
    return Trace(calls, borders)


def _operations(model):
    """All that a model calls, models in it first, each once."""
    found = {}
    for operation in _parts(model):
        if isinstance(operation, keras.Model):
            found.update((id(o), o) for o in _operations(operation))
        found[id(operation)] = operation
    return list(found.values())


def _parts(model):
    if isinstance(model, keras.Sequential):
        return model.layers
    if not getattr(model, "operations", None):
        raise ValueError(
            "Expected a functional or sequential model, in which all that happens "
            f"between layers is known. Received: the model '{model.name}' of type "
            f"{type(model).__name__}"
        )
    return model.operations


@contextlib.contextmanager
def _watched(operation, calls, borders):
    """Note the calls of an operation; of a model, what goes in."""
    call = operation.call

    def watched(*args, **kwargs):
        inputs = _tensors((args, kwargs))
        outputs = call(*args, **kwargs)
        if isinstance(operation, keras.Model):
            borders.extend(inputs)
        else:
            calls.append(Call(operation, inputs, _tensors(outputs)))
        return outputs

    operation.call = watched
    try:
        yield
    finally:
        del operation.call


def _tensors(structure):
    flat = keras.tree.flatten(structure)
    return [x for x in flat if keras.ops.is_tensor(x)]
