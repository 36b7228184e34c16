"""Which layer reads which tensor, found by running the model once."""

import contextlib
import dataclasses
from typing import Any

import keras

from tf_admm.structure import uses
from tf_admm.structure.precision import float32_compute


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of one layer, or of an operation between layers.

    Attributes:
        layer: what was called.
        args: what it was called on, positional.
        kwargs: and by name.
        result: what it returned.
    """

    layer: Any
    args: tuple
    kwargs: dict
    result: Any

    @property
    def inputs(self):
        """The tensors it was called on."""
        return _tensors((self.args, self.kwargs))

    @property
    def outputs(self):
        """The tensors it returned."""
        return _tensors(self.result)


@dataclasses.dataclass(frozen=True)
class Trace:
    """The calls of a model, in order, and the tensors at its borders.

    Attributes:
        calls: list of `Call`, of layers that hold no model.
        inputs: what the model was called on, in its own structure.
        outputs: what it returned, in its own structure.
        nested: tensors that went into the models in it.
    """

    calls: list
    inputs: Any
    outputs: Any
    nested: list

    @property
    def borders(self):
        """Tensors whose last axis must stay."""
        return self.nested + _tensors((self.inputs, self.outputs))


def trace(model):
    """Run a functional or sequential model on one sample of zeros.

    Args:
        model: the model; models in it, too, must be functional or sequential.

    Raises:
        ValueError: if one of them is of another kind, in which what happens
            between the layers can't be seen.
    """
    calls, nested = [], []
    with contextlib.ExitStack() as stack:
        for operation in _operations(model):
            stack.enter_context(_watched(operation, calls, nested))
        stack.enter_context(float32_compute(model))
        x = uses.zeros(model)
        outputs = model(x, training=False)
    return Trace(calls, x, outputs, nested)


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
def _watched(operation, calls, nested):
    """Note the calls of an operation; of a model, what goes in."""
    call = operation.call

    def watched(*args, **kwargs):
        result = call(*args, **kwargs)
        if isinstance(operation, keras.Model):
            nested.extend(_tensors((args, kwargs)))
        else:
            calls.append(Call(operation, args, kwargs, result))
        return result

    operation.call = watched
    try:
        yield
    finally:
        del operation.call


def _tensors(structure):
    flat = keras.tree.flatten(structure)
    return [x for x in flat if keras.ops.is_tensor(x)]
