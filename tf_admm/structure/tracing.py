"""Which layer reads which tensor, found by calling the model on no data at all.

The model is called on symbolic tensors, so nothing is computed, and sizes may be
unknown. Models in it, and layers of no known kind that hold no weights of their own,
are opened: what they call is seen, too.
"""

import contextlib
import dataclasses
from typing import Any

import keras

from tf_admm.structure import kernels
from tf_admm.structure import kinds
from tf_admm.structure.precision import float32_compute


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of one layer, or of an operation between layers.

    Attributes:
        layer: what was called.
        args: what it was called on, positional.
        kwargs: and by name.
        result: what it returned.
        inside: the calls that it made itself, if it was opened.
    """

    layer: Any
    args: tuple
    kwargs: dict
    result: Any
    inside: tuple = ()

    @property
    def inputs(self):
        """The tensors it was called on."""
        return tensors((self.args, self.kwargs))

    @property
    def outputs(self):
        """The tensors it returned."""
        return tensors(self.result)

    def leaves(self):
        """Itself, or if it was opened the calls in it that open nothing."""
        if not self.inside:
            return [self]
        return [leaf for call in self.inside for leaf in call.leaves()]


@dataclasses.dataclass(frozen=True)
class Trace:
    """The calls of a model, in order, and the tensors at its borders.

    Attributes:
        roots: list of `Call`, those that the model makes itself.
        inputs: what the model was called on, in its own structure.
        outputs: what it returned, in its own structure.
    """

    roots: list
    inputs: Any
    outputs: Any

    @property
    def calls(self):
        """The calls that open nothing, in order."""
        return [leaf for call in self.roots for leaf in call.leaves()]


def trace(model):
    """Call a functional or sequential model on symbolic inputs.

    Args:
        model: the model; its layers are left as they were.

    Raises:
        ValueError: if the model has no inputs of its own, in which what happens
            between the layers can't be seen.
    """
    inputs = symbolic_inputs(model)
    recorder = _Recorder()
    with float32_compute(model), recorder.recording():
        outputs = recorder.opened(model, (inputs,), {})
    roots = _needed(recorder.calls, tensors(outputs))
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
    # A `Sequential` that was never called has `inputs`, but no `input`.
    structure = model.inputs[0] if len(model.inputs) == 1 else model.input
    return keras.tree.map_structure(
        lambda x: keras.KerasTensor(x.shape, x.dtype), structure
    )


def tensors(structure):
    """The symbolic tensors in a structure, flat."""
    flat = keras.tree.flatten(structure)
    return [x for x in flat if isinstance(x, keras.KerasTensor)]


class _Recorder:
    """Notes all symbolic calls while it is recording.

    Attributes:
        calls: list of `Call`, as far as nothing above them is still open.
    """

    def __init__(self):
        self.calls = []
        self._nodes = {}

    @contextlib.contextmanager
    def recording(self):
        """Every symbolic call of Keras goes through `_call`."""
        classes = (keras.Operation, keras.Layer)
        before = [cls.symbolic_call for cls in classes]
        try:
            for cls in classes:
                cls.symbolic_call = lambda *args, **kwargs: self._call(*args, **kwargs)
            yield
        finally:
            for cls, method in zip(classes, before):
                cls.symbolic_call = method
            self._forget()

    def _call(self, layer, /, *args, **kwargs):
        self._note_nodes(layer)
        said = _said(args, kwargs)
        if type(layer).__name__ == "ConvertToTensor":
            # What Keras does to the inputs of models; they are tensors already.
            return args[0]
        if _opens(layer):
            outer, self.calls = self.calls, []
            try:
                result = self.opened(layer, args, kwargs)
                inside = tuple(self.calls) if _tells(layer, self.calls) else ()
                outer.append(Call(layer, args, said, result, inside))
                return result
            except Exception:  # noqa: BLE001, whatever its own code raises on no data
                pass
            finally:
                self.calls = outer
        result = layer.compute_output_spec(*args, **kwargs)
        self.calls.append(Call(layer, args, said, result))
        return result

    def opened(self, layer, args, kwargs):
        """What its own code makes of the tensors, each step noted."""
        parts = {part.name: part for part, _ in kernels.walk(layer)}
        return kinds.opened(layer, parts, self._call, args, kwargs)

    # Keras notes each symbolic call in the layers that it touches, for good.

    def _note_nodes(self, layer):
        if id(layer) not in self._nodes:
            counts = len(layer._inbound_nodes), len(layer._outbound_nodes)
            self._nodes[id(layer)] = (layer, *counts)

    def _forget(self):
        for layer, inbound, outbound in self._nodes.values():
            del layer._inbound_nodes[inbound:]
            del layer._outbound_nodes[outbound:]


def _opens(layer):
    """Whether a layer's own code says more than its kind does."""
    if isinstance(layer, keras.Model):
        return True
    return (
        isinstance(layer, keras.Layer)
        and kinds.says_more(layer)
        and not kernels.own_variables(layer)
    )


def _tells(layer, calls):
    """Whether what was seen says more than that the layer is opaque."""
    holds_layers = len(list(kernels.walk(layer))) > 1
    return holds_layers or not any(kinds.of(call).opaque for call in calls)


def _said(args, kwargs):
    """The arguments without what Keras finds itself: masks that it has attached."""
    made = {id(getattr(x, "_keras_mask", None)) for x in tensors((args, kwargs))}
    return {
        key: value
        for key, value in kwargs.items()
        if not (isinstance(value, keras.KerasTensor) and id(value) in made)
    }


def _needed(calls, outputs):
    """The calls that the outputs depend on."""
    wanted, needed = {id(x) for x in outputs}, []
    for call in reversed(calls):
        if any(id(x) in wanted for x in call.outputs):
            if call.inside:
                inside = _needed(
                    call.inside, [x for x in call.outputs if id(x) in wanted]
                )
                call = dataclasses.replace(call, inside=tuple(inside))
            wanted.update(id(x) for x in call.inputs)
            needed.append(call)
    return needed[::-1]
