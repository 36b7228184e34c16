"""A functional model of the layers as they become."""

import keras
import numpy as np

from tf_admm.shrinking import initializers
from tf_admm.shrinking import regularizers
from tf_admm.structure.copying import copy_state
from tf_admm.structure.masking import attach_mask
from tf_admm.structure.masking import mask_of
from tf_admm.structure.tracing import named_inputs


def rebuilt(model, traced, graph):
    """The model with smaller layers; what nothing changes in is carried over.

    Models and other layers that hold a layer that changes are laid out flat.

    Args:
        model: the model.
        traced: its `Trace`.
        graph: its `Graph`.
    """
    inputs = keras.tree.map_structure(_input, named_inputs(model), traced.inputs)
    builder = _Builder(graph, traced, inputs)
    for call in traced.roots:
        builder.add(call, ())
    outputs = keras.tree.map_structure(builder.new, traced.outputs)
    if isinstance(model, keras.Sequential) and builder.is_chain:
        small = keras.Sequential([inputs, *builder.layers], name=model.name)
    else:
        small = keras.Model(inputs, _outputs(model, outputs), name=model.name)
    builder.set_weights()
    return small


def _outputs(model, tensors):
    """The outputs as the model was given them: a call takes one out of its list."""
    if isinstance(model, keras.Sequential):
        return tensors
    return keras.tree.pack_sequence_as(model.output, keras.tree.flatten(tensors))


def _input(old, symbolic):
    name = old.name if not old.name.startswith("keras_tensor") else None
    return keras.Input(batch_shape=symbolic.shape, dtype=symbolic.dtype, name=name)


class _Builder:
    """Makes the calls of a trace again, on new tensors.

    Attributes:
        layers: the new layers, in order.
        is_chain: whether each was called once, on what the one before returned.
    """

    def __init__(self, graph, traced, inputs):
        self._graph = graph
        self._tensors, self._made, self._weights = {}, {}, []
        self._names, self._shared = set(), {}
        self._old = {leaf.layer.name for call in traced.roots for leaf in call.leaves()}
        self.layers, self.is_chain = [], True
        self._pair(traced.inputs, inputs)

    def _pair(self, old, new):
        for a, b in zip(keras.tree.flatten(old), keras.tree.flatten(new)):
            self._tensors[id(a)] = b

    def new(self, x):
        """The new tensor for an old one; anything else as it is."""
        return self._tensors[id(x)] if _is_symbolic(x) else x

    def add(self, call, above):
        """Make a call again; if something changes in it, what it calls itself."""
        altered = any(self._graph.alters(leaf) for leaf in call.leaves())
        if call.inside and altered:
            for inner in call.inside:
                self.add(inner, (*above, call.layer.name))
            return
        if not call.inputs:
            self._pair(call.result, self._graph.constant(call))
            return
        layer = self._layer(call, altered, above)
        args, kwargs = keras.tree.map_structure(self.new, (call.args, call.kwargs))
        kwargs |= self._found(call)
        if above:
            args, kwargs = _in_their_precision((args, kwargs))
        if layer is call.layer and self._is_other(layer):
            result = self._wrapped(layer, args, kwargs)
        elif call.inside:
            result = layer(*args, **kwargs)
        else:
            result = self._graph.apply(call, layer, args, kwargs)
            self._name_others(layer, (args, kwargs), result)
            _pass_masks(call, (args, kwargs), result)
        self._pair(call.result, result)

    def _found(self, call):
        """The masks that Keras found, which a graph that lacks them would lose."""
        masks = {key: mask_of(self.new(x)) for key, x in call.found.items()}
        return {key: mask for key, mask in masks.items() if mask is not None}

    def _is_other(self, layer):
        """Whether a layer that can't be made again has the name of another."""
        return self._shared.setdefault(layer.name, layer) is not layer

    def _wrapped(self, layer, args, kwargs):
        """What a layer returns, by a model of another name that holds it."""
        self.is_chain = False
        given = keras.tree.map_structure(
            lambda x: _input(x, x) if _is_symbolic(x) else x, (args, kwargs)
        )
        inner, outer = (
            [x for x in keras.tree.flatten(one) if _is_symbolic(x)]
            for one in (given, (args, kwargs))
        )
        result = layer(*given[0], **given[1])
        return keras.Model(inner, result, name=self._free(layer.name))(outer)

    def _name_others(self, layer, given, result):
        """Name what was called beside the layer, such as a padding, or in its place.

        Keras counts the names that it gives from the start of the process, and a model
        that was loaded may have the same.
        """
        given = [x for x in keras.tree.flatten(given) if _is_symbolic(x)]
        given += [mask_of(x) for x in given if mask_of(x) is not None]
        made = keras.Function(given, result).operations if given else []
        made = [one for one in made if not isinstance(one, keras.layers.InputLayer)]
        if len(made) == 1:
            made[0].name = layer.name
            return
        self.is_chain = False
        for other in made:
            if other is not layer:
                other.name = self._free(f"{layer.name}_{other.name}")

    def _free(self, name):
        """The name, or with a number behind it."""
        free, number = name, 0
        while free in self._names or free in self._old:
            number += 1
            free = f"{name}_{number}"
        self._names.add(free)
        return free

    def _layer(self, call, altered, above):
        key = id(call.layer)
        if key in self._made:
            self.is_chain = False
            return self._made[key]
        if altered:
            config, weights = self._graph.smaller(call)
            config = regularizers.fitting(config, call, weights, self._graph.size)
            config = self._renamed(initializers.resized(config), call.layer, above)
            layer = self._graph.made(call, config)
            if weights:
                self._weights.append((layer, weights))
        else:
            layer = self._carried(call, above)
        self.is_chain &= isinstance(layer, keras.Layer) and not above
        self._made[key] = layer
        self.layers.append(layer)
        return layer

    def _renamed(self, config, layer, above):
        """A name of its own for each layer of the flat model."""
        name = layer.name
        while name in self._names:
            *above, last = above or (f"{name}_{len(self._names)}",)
            name = f"{last}_{name}" if above or last != name else last
        self._names.add(name)
        return config | {"name": name}

    def _carried(self, call, above):
        """A copy with the same state; if none can be made, the layer itself."""
        layer = call.layer
        try:
            config = self._renamed(layer.get_config(), layer, above)
            config = regularizers.fitting(config, call, [], self._graph.size)
            new = self._graph.made(call, config)
            if isinstance(layer, keras.Layer) and layer.built:
                copy_state(layer, new)
            return new
        except Exception:  # noqa: BLE001, whatever a layer's own code raises
            return layer

    def set_weights(self):
        """Give the layers that changed their weights, now that they are built."""
        for layer, weights in self._weights:
            layer.set_weights(weights)


def _pass_masks(call, given, result):
    """A mask goes on where a layer passes it on, and what is beside it does not."""
    masks = [mask_of(x) for x in keras.tree.flatten(given) if _is_symbolic(x)]
    masks = [mask for mask in masks if mask is not None]
    for old, new in zip(call.outputs, keras.tree.flatten(result)):
        if masks and mask_of(old) is not None and mask_of(new) is None:
            attach_mask(new, masks[0])


def _in_their_precision(given):
    """Numbers of numpy in the precision of the tensors beside them.

    Inside of a layer the backend sees to that; between layers Keras would go on in that
    of the number, mostly float64.
    """
    tensors = [x for x in keras.tree.flatten(given) if _is_symbolic(x)]
    dtypes = [x.dtype for x in tensors if keras.backend.is_float_dtype(x.dtype)]

    def cast(x):
        if isinstance(x, np.floating):
            return float(x)
        is_float = isinstance(x, np.ndarray) and x.dtype.kind == "f"
        return x.astype(dtypes[0]) if is_float and dtypes else x

    return keras.tree.map_structure(cast, given)


def _is_symbolic(x):
    return isinstance(x, keras.KerasTensor)
