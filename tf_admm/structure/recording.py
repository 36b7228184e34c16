"""Notes which layers are called on which symbolic tensors."""

import contextlib
import dataclasses

import keras
import numpy as np

from tf_admm.structure import kinds
from tf_admm.structure import walking
from tf_admm.structure.calls import Call
from tf_admm.structure.calls import Trace
from tf_admm.structure.calls import needed
from tf_admm.structure.calls import sized
from tf_admm.structure.calls import tensors
from tf_admm.structure.masking import Masks
from tf_admm.structure.replaying import Replay


class Recorder:
    """Notes all symbolic calls while it is recording.

    Attributes:
        calls: list of `Call`, as far as nothing above them is still open.
    """

    def __init__(self):
        self.calls = []
        self._masks = Masks()
        self._nodes = {}
        self._depth = 0
        self._is_made_up = False
        self._replay = None

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
        found = self._masks.found(args, kwargs)
        said = {key: value for key, value in kwargs.items() if key not in found}
        if type(layer).__name__ == "ConvertToTensor":
            # What Keras does to the inputs of models; they are tensors already.
            return args[0]
        if self._replay is not None:
            return self._replayed(layer, args, said)
        if _opens(layer):
            outer, self.calls = self.calls, []
            try:
                call = self._looked_into(layer, args, kwargs, said)
                if call.inside:
                    outer.append(dataclasses.replace(call, found=found))
                    return call.result
            except Exception:  # noqa: BLE001, whatever its own code raises on no data
                pass
            finally:
                self.calls = outer
        result = self._masks.noted(layer, args, self._of_shapes(layer, args, kwargs))
        within = self._within(layer, args, said)
        self.calls.append(Call(layer, args, said, result, (), within, found))
        return result

    def _looked_into(self, layer, args, kwargs, said):
        """The call of a layer that is opened, with what it calls if that says more."""
        result = self.opened(layer, args, kwargs)
        self._check(layer, result)
        self._check_training(layer, args, kwargs, result)
        result = self._told_apart(result, tensors((args, kwargs)))
        inside = tuple(self.calls) if _tells(layer, self.calls) else ()
        whole = self._is_made_up or all(map(_can_be_made, inside))
        within = None if whole else self._within(layer, args, said)
        return Call(layer, args, said, result, inside, within)

    def _check(self, layer, result):
        """Raise if what a layer called can't be called again, outside of it."""
        if not all(map(_is_symbolic, keras.tree.flatten(result))):
            raise ValueError(f"Expected tensors. Received: {result}")
        if self._is_made_up or isinstance(layer, keras.Model):
            return
        leaves = [call for call in self.calls if not call.inside]
        others = [call.layer for call in leaves if not _can_be_repeated(call)]
        if others:
            raise ValueError(f"Expected calls that can be repeated. Received: {others}")

    def _check_training(self, layer, args, kwargs, result):
        """Raise if a layer that has weights in it calls something else in training.

        One without weights stays what it is.
        """
        if self._is_made_up or isinstance(layer, keras.Model) or not layer.weights:
            return
        calls, self.calls = self.calls, []
        self._replay = Replay(layer, calls, result)
        try:
            self._replay.run(args, kwargs)
        finally:
            self.calls, self._replay = calls, None

    def _replayed(self, layer, args, kwargs):
        replay = self._replay
        if replay.begins(layer):
            return replay.open(lambda: self.opened(layer, args, kwargs))
        if replay.is_open:
            return replay.next(layer, args, kwargs)
        return self._of_shapes(layer, args, kwargs)

    def _within(self, layer, args, kwargs):
        """The `Trace` of what a layer that isn't opened calls on known sizes."""
        if not isinstance(layer, keras.Layer) or not _holds_layers(layer):
            return None
        if not kinds.says_more(layer):
            return None
        given = keras.tree.map_structure(sized, (args, kwargs))
        outer, self.calls = self.calls, []
        before, self._is_made_up = self._is_made_up, True
        try:
            outputs = self.opened(layer, *given)
            return Trace(needed(self.calls, tensors(outputs)), given, outputs)
        except Exception:  # noqa: BLE001, whatever its own code raises on no data
            return None
        finally:
            self.calls, self._is_made_up = outer, before

    def _of_shapes(self, layer, args, kwargs):
        # Keras runs the layer's code, whose calls are none of the model's.
        depth, self._depth = self._depth, 0
        try:
            return layer.compute_output_spec(*args, **kwargs)
        finally:
            self._depth = depth

    def opened(self, layer, args, kwargs):
        """What its own code makes of the tensors, each step noted."""
        parts = {part.name: part for part, _ in walking.walk(layer)}
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
            return self._allowing_none(layer, call, args, kwargs)
        if self._replay is not None:
            return self._replay.next(layer, args, kwargs)
        shapes = keras.tree.map_structure(_symbolic, (args, kwargs))
        result = self._of_shapes(layer, *shapes)
        self.calls.append(Call(layer, args, kwargs, result))
        return result

    def _allowing_none(self, layer, call, args, kwargs):
        """A call that may return `None` among its results, such as for a cache.

        Keras refuses these on no data; so on made-up sizes alone, since elsewhere Keras
        may make the call again.
        """
        try:
            return call(layer, *args, **kwargs)
        except ValueError:
            mine = [one for one in self.calls[-1:] if one.layer is layer]
            results = keras.tree.flatten([one.result for one in mine])
            if not self._is_made_up or all(x is not None for x in results):
                raise
            return mine[0].result

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
        and not walking.own_variables(layer)
    )


def _tells(layer, calls):
    """Whether what was seen says more than that the layer is opaque."""
    return _holds_layers(layer) or not any(kinds.of(call).opaque for call in calls)


def _can_be_repeated(call):
    """Whether a call of what a layer holds can be made without the layer."""
    given = keras.tree.flatten((call.args, call.kwargs))
    # A range over a size that is open is empty on some backends.
    empty = any(0 in np.shape(x) for x in given if not _is_symbolic(x))
    return not empty and kinds.of(call).is_repeatable()


def _can_be_made(call):
    """Whether the layer that is called can be made again, if it has to be."""
    try:
        kinds.of(call).made(call.layer.get_config())
    except Exception:  # noqa: BLE001, whatever its own code raises
        return bool(call.inside)
    return True


def _holds_layers(layer):
    return len(list(walking.walk(layer))) > 1


def _symbolic(x):
    """A tensor of the shape of a constant; what says how to call as it is."""
    if x is None or isinstance(x, bool | str):
        return x
    array = keras.ops.convert_to_numpy(x)
    return keras.KerasTensor(array.shape, array.dtype.name)


def _is_symbolic(x):
    return isinstance(x, keras.KerasTensor)
