"""Notes which layers are called on which symbolic tensors."""

import contextlib

import keras

from tf_admm.structure import kernels
from tf_admm.structure import kinds
from tf_admm.structure.calls import Call
from tf_admm.structure.calls import tensors


class Recorder:
    """Notes all symbolic calls while it is recording.

    Attributes:
        calls: list of `Call`, as far as nothing above them is still open.
    """

    def __init__(self):
        self.calls = []
        self._nodes = {}
        self._depth = 0

    @contextlib.contextmanager
    def recording(self):
        """Every symbolic call of Keras goes through `_call`."""
        classes = (keras.Operation, keras.Layer)
        before, call = [cls.symbolic_call for cls in classes], keras.Layer.__call__
        try:
            for cls in classes:
                cls.symbolic_call = lambda *args, **kwargs: self._call(*args, **kwargs)
            keras.Layer.__call__ = lambda layer, *args, **kwargs: self._eager(
                layer, call, args, kwargs
            )
            yield
        finally:
            for cls, method in zip(classes, before):
                cls.symbolic_call = method
            keras.Layer.__call__ = call
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
                result = self._told_apart(result, tensors((args, kwargs)))
                inside = tuple(self.calls) if _tells(layer, self.calls) else ()
                outer.append(Call(layer, args, said, result, inside))
                return result
            except Exception:  # noqa: BLE001, whatever its own code raises on no data
                pass
            finally:
                self.calls = outer
        result = self._of_shapes(layer, args, kwargs)
        self.calls.append(Call(layer, args, said, result))
        return result

    def _of_shapes(self, layer, args, kwargs):
        # Keras runs the layer's code, whose calls are none of the model's.
        depth, self._depth = self._depth, 0
        try:
            return layer.compute_output_spec(*args, **kwargs)
        finally:
            self._depth = depth

    def opened(self, layer, args, kwargs):
        """What its own code makes of the tensors, each step noted."""
        parts = {part.name: part for part, _ in kernels.walk(layer)}
        self._depth += 1
        try:
            return kinds.opened(layer, parts, self._call, args, kwargs)
        finally:
            self._depth -= 1

    def _told_apart(self, result, given):
        """The result, in which what was given and is returned has a name of its own.

        Such as by a layer that does nothing but in training.
        """
        ids = {id(x) for x in given}
        return keras.tree.map_structure(
            lambda x: self._call(keras.layers.Identity(), x) if id(x) in ids else x,
            result,
        )

    def _eager(self, layer, call, args, kwargs):
        """A call on constants in what is opened: a table's is seen, as on tensors."""
        seen = self._depth and kinds.entry(layer).reads_constants
        if not seen or tensors((args, kwargs)):
            return call(layer, *args, **kwargs)
        shapes = keras.tree.map_structure(_symbolic, (args, kwargs))
        result = self._of_shapes(layer, *shapes)
        self.calls.append(Call(layer, args, kwargs, result))
        return result

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


def _symbolic(x):
    """A tensor of the shape of a constant; what says how to call as it is."""
    if x is None or isinstance(x, bool | str):
        return x
    array = keras.ops.convert_to_numpy(x)
    return keras.KerasTensor(array.shape, array.dtype.name)


def _said(args, kwargs):
    """The arguments without what Keras finds itself: masks that it has attached."""
    made = {id(getattr(x, "_keras_mask", None)) for x in tensors((args, kwargs))}
    return {
        key: value
        for key, value in kwargs.items()
        if not (isinstance(value, keras.KerasTensor) and id(value) in made)
    }
