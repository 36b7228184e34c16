"""What the table holds for a layer, and the way into it for a layer of one's own."""

import dataclasses

import keras

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.table import KINDS
from tf_admm.structure.kinds.table import OPENINGS
from tf_admm.structure.kinds.table import OPERATIONS


class Timed(Kind):
    """TimeDistributed: what its layer does, at each step."""

    def __init__(self, call):
        super().__init__(call)
        self._of = of(dataclasses.replace(call, layer=call.layer.layer))
        for name in ("opaque", "whole", "links", "ties", "reads", "constants"):
            setattr(self, name, getattr(self._of, name))
        for name in ("foldable", "shift", "weights"):
            setattr(self, name, getattr(self._of, name))

    def why_opaque(self):
        return self._of.why_opaque() if self._of.opaque else None

    def config(self, config, size, shift):
        inner = self._of.config(self._of.layer.get_config(), size, shift)
        # Not built yet, whatever the old one was built for.
        layer = {k: v for k, v in config["layer"].items() if k != "build_config"}
        return config | {"layer": layer | {"config": inner}}


# Its kind is that of another layer, so that it is looked up, too.
KINDS[keras.layers.TimeDistributed] = Timed


def entry(layer):
    """What the table holds for a layer or operation, `Kind` where it holds nothing.

    A subclass of a layer of the table is of its kind if it is called in the same way.
    """
    cls = type(layer)
    if not isinstance(layer, keras.Layer):
        return OPERATIONS.get(cls.__name__, Kind)
    if _name(cls) in KINDS:
        return KINDS[_name(cls)]
    parent = next(c for c in cls.__mro__ if c in KINDS)
    return KINDS[parent] if cls.call is parent.call else Kind


def _name(cls):
    """`package>Name`, so that a layer of one's own isn't taken for one of Keras'."""
    return f"{cls.__module__.partition('.')[0]}>{cls.__name__}"


def is_known(layer):
    """Whether the table holds the layer."""
    return entry(layer) is not Kind


def says_more(layer):
    """Whether the calls that a layer makes itself say more than its kind does."""
    return _name(type(layer)) in OPENINGS or not is_known(layer)


def opened(layer, parts, note, args, kwargs):
    """What a layer makes of tensors by calls of others, each of them noted.

    Args:
        parts: dict from names to the layers that it holds.
        note: function that notes the call of a layer, and returns its result.
    """
    own = OPENINGS.get(_name(type(layer)))
    if own is None:
        return layer.call(*args, **kwargs)
    return own(layer, parts, note, *args, **kwargs)


def of(call):
    """The kind of a call; the bare `Kind`, which is opaque, where it is unusual."""
    cls = entry(call.layer)
    given = call.inputs or cls.reads_constants
    usual = given and call.outputs and _is_usual(call.layer)
    kind = cls.for_call(call) if usual else Kind(call)
    return kind if kind.why_opaque() is None else Kind(call)


def _is_usual(layer):
    return (
        getattr(layer, "data_format", None) != "channels_first"
        and not getattr(layer, "quantization_mode", None)
        and not getattr(layer, "lora_enabled", False)
    )


def axes(layer, variable, kernel=True):
    """`(inputs, outputs)`: the axes of a weight.

    Args:
        layer: the layer that holds it.
        variable: the weight.
        kernel: whether it has the name of a kernel. What is known of Keras' layers is
            about these, not about what else may be in them, such as the factors of
            `enable_lora`.
    """
    keras_own = next(c for c in type(layer).__mro__ if c in KINDS)
    if not kernel and keras_own.__module__.startswith("keras."):
        return Kind.axes(layer, variable)
    return _nearest(layer).axes(layer, variable)


def places(kernel, inputs, outputs):
    """How often one weight of a kernel is multiplied in a call of its layer."""
    return _nearest(kernel.layer).places(kernel, inputs, outputs)


def rows(kernel, x):
    """What a call of a kernel's layer on `x` multiplies it by, or `None`."""
    kind = _nearest(kernel.layer)
    known = not kernel.by_name_only and _is_usual(kernel.layer)
    return kind.rows(kernel.layer, kernel.variable, x) if known else None


def prospect(kernel):
    """Whether zeros in a kernel can make a TFLite file faster, and where."""
    return _nearest(kernel.layer).prospect(kernel)


def _nearest(layer):
    """The entry of the nearest class above, however the layer is called."""
    if _name(type(layer)) in KINDS:
        return KINDS[_name(type(layer))]
    return next(KINDS[c] for c in type(layer).__mro__ if c in KINDS)


def register_layer(layer_class: type, kind: type) -> None:
    """Tell the package what a layer of your own does to its channels.

    The layer can then be pruned by channels, shrunk, and counted like those of Keras.

    Args:
        layer_class: a subclass of `keras.layers.Layer`.
        kind: a subclass of `tf_admm.kinds.Kind`, such as `tf_admm.kinds.Linear` with
            the names that the layer has for its kernel, bias and number of outputs.

    Raises:
        TypeError: if one of them is no such class.

    Example:

    >>> class Projection(keras.layers.Layer):
    ...     def __init__(self, width, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.width = width
    ...     def build(self, shape):
    ...         self.w = self.add_weight(shape=(shape[-1], self.width), name="w")
    ...     def call(self, x):
    ...         return keras.ops.matmul(x, self.w)
    ...     def get_config(self):
    ...         return {**super().get_config(), "width": self.width}
    >>> class ProjectionKind(tf_admm.kinds.Linear):
    ...     kernel_name, bias_name, units_name = "w", None, "width"
    >>> tf_admm.register_layer(Projection, ProjectionKind)
    """
    if not isinstance(layer_class, type) or not issubclass(layer_class, keras.Layer):
        raise TypeError(
            "Expected `layer_class` to be a subclass of `keras.layers.Layer`. "
            f"Received: layer_class={layer_class!r}"
        )
    if not isinstance(kind, type) or not issubclass(kind, Kind):
        raise TypeError(
            "Expected `kind` to be a subclass of `tf_admm.kinds.Kind`. Received: "
            f"kind={kind!r}"
        )
    KINDS[layer_class] = kind
