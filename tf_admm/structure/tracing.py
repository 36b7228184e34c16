"""Which layer reads which tensor, found by calling the model on no data at all.

The model is called on symbolic tensors, so nothing is computed, and sizes may be
unknown. Models in it, and layers of no known kind that hold no weights of their own,
are opened: what they call is seen, too.
"""

import dataclasses

import keras

from tf_admm.structure import seeds
from tf_admm.structure.blocks import Block
from tf_admm.structure.calls import Trace
from tf_admm.structure.calls import needed
from tf_admm.structure.calls import tensors
from tf_admm.structure.channels import Channels
from tf_admm.structure.precision import float32_compute
from tf_admm.structure.recording import Recorder


def trace(model):
    """Call a functional or sequential model on symbolic inputs.

    Args:
        model: the model; its layers are left as they were.

    Raises:
        ValueError: if the model has no inputs of its own, in which what happens
            between the layers can't be seen.
    """
    inputs = symbolic_inputs(model)
    recorder = Recorder()
    with float32_compute(model), seeds.kept(model):
        with recorder.recording():
            outputs = recorder.opened(model, (inputs,), {})
        calls = [_closed(call) for call in recorder.calls]
    roots = needed(calls, tensors(outputs))
    return Trace(roots, inputs, outputs)


def symbolic_inputs(model):
    """Tensors without values, in the structure of the model's inputs.

    Raises:
        ValueError: if the model has none.
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            "Expected a built functional or sequential model, in which all that "
            f"happens between layers is known. Received: the model '{model.name}' of "
            f"type {type(model).__name__}. Of an `ADMMModel`, give its `.model`."
        )
    return keras.tree.map_structure(
        lambda x: keras.KerasTensor(x.shape, x.dtype), named_inputs(model)
    )


def named_inputs(model):
    """The inputs of a functional or sequential model, in the structure it was given."""
    # A `Sequential` that was never called has `inputs`, but no `input`.
    is_sequential = isinstance(model, keras.Sequential)
    return model.inputs[0] if is_sequential else model.input


def _closed(call):
    """A call, left whole if that will do where its parts can't be made again."""
    if not call.inside:
        return call
    if call.within is not None and not Block(call, Channels(call.within)).opaque:
        return dataclasses.replace(call, inside=())
    return dataclasses.replace(call, inside=tuple(map(_closed, call.inside)))
