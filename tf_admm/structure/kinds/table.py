"""The one table of layer kinds, and the way into it for a layer of one's own."""

import dataclasses

import keras

from tf_admm.structure.kinds import attention
from tf_admm.structure.kinds import contractions
from tf_admm.structure.kinds import convolution
from tf_admm.structure.kinds import decoder
from tf_admm.structure.kinds import einsum
from tf_admm.structure.kinds import elementwise
from tf_admm.structure.kinds import embedding
from tf_admm.structure.kinds import hub
from tf_admm.structure.kinds import linear
from tf_admm.structure.kinds import normal
from tf_admm.structure.kinds import positions
from tf_admm.structure.kinds import products
from tf_admm.structure.kinds import recurrent
from tf_admm.structure.kinds import shapes
from tf_admm.structure.kinds.base import Kind

L = keras.layers


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


#: By class; where a layer's class isn't public, by its package and its name.
KINDS = {
    keras.layers.Layer: Kind,
    L.Dense: linear.Dense,
    **dict.fromkeys((L.Conv1D, L.Conv2D, L.Conv3D), convolution.Conv),
    **dict.fromkeys(
        (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose),
        convolution.Transposed,
    ),
    **dict.fromkeys((L.SeparableConv1D, L.SeparableConv2D), convolution.Separable),
    **dict.fromkeys((L.DepthwiseConv1D, L.DepthwiseConv2D), convolution.Depthwise),
    L.EinsumDense: einsum.Einsum,
    L.Embedding: embedding.Embedding,
    L.ReversibleEmbedding: embedding.Reversible,
    "keras_hub>PositionEmbedding": hub.Positions,
    "keras_hub>TransformerDecoder": decoder.Decoder,
    "keras_hub>ViTPatchingAndEmbedding": hub.Patches,
    L.MultiHeadAttention: attention.Heads,
    "keras_hub>CachedMultiHeadAttention": decoder.Cached,
    **dict.fromkeys((L.SimpleRNN, L.LSTM, L.GRU), recurrent.Recurrent),
    **dict.fromkeys((L.SimpleRNNCell, L.LSTMCell, L.GRUCell), recurrent.Cell),
    **dict.fromkeys(
        (
            L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D, L.AveragePooling1D,
            L.AveragePooling2D, L.AveragePooling3D, L.GlobalAveragePooling1D,
            L.GlobalAveragePooling2D, L.GlobalAveragePooling3D, L.GlobalMaxPooling1D,
            L.GlobalMaxPooling2D, L.GlobalMaxPooling3D, L.UpSampling1D,
            L.UpSampling2D, L.UpSampling3D, L.Cropping1D, L.Cropping2D, L.Cropping3D,
            L.Dropout, L.SpatialDropout1D, L.SpatialDropout2D, L.SpatialDropout3D,
            L.GaussianDropout, L.GaussianNoise, L.AlphaDropout, L.Identity,
            L.ActivityRegularization, L.RepeatVector, L.CenterCrop,
        ),
        elementwise.Channelwise,
    ),
    **dict.fromkeys(
        (L.Activation, L.ReLU, L.LeakyReLU, L.ELU), elementwise.Elementwise
    ),
    L.PReLU: elementwise.Slopes,
    L.Softmax: positions.Shares,
    L.Rescaling: elementwise.Scaled,
    L.Resizing: elementwise.Resized,
    "keras>LayerScale": elementwise.Gamma,
    L.BatchNormalization: normal.Batch,
    L.LayerNormalization: normal.Joint,
    L.GroupNormalization: normal.Groups,
    L.RMSNormalization: normal.Root,
    L.UnitNormalization: contractions.Unit,
    **dict.fromkeys(
        (L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D), elementwise.Zeros
    ),
    L.Flatten: shapes.Flattened,
    L.Reshape: shapes.Reshaped,
    L.Permute: shapes.Permuted,
    **dict.fromkeys(
        (L.Add, L.Subtract, L.Average, L.Maximum, L.Minimum), elementwise.Merged
    ),
    L.Multiply: elementwise.MergedProduct,
    L.Dot: contractions.Inner,
    L.Attention: contractions.Weighted,
    L.Concatenate: elementwise.Joined,
    L.TimeDistributed: Timed,
    L.Bidirectional: recurrent.Both,
}  # fmt: skip
#: Of layers that hold others, by package and name: what they call, where their own
#: code can't be run on no data.
OPENINGS = {"keras_hub>TransformerDecoder": decoder.opened}
#: Operations of `keras.ops` between layers, by name.
OPERATIONS = {
    **dict.fromkeys(
        (
            "Abs", "Absolute", "Add", "Arctan", "Cast", "Ceil", "Celu", "Clip", "Cos",
            "Cosh", "Divide", "DivideNoNan", "Elu", "Equal", "Erf", "Exp", "Expm1",
            "Floor", "FloorDivide", "Gelu", "Greater", "GreaterEqual", "HardShrink",
            "HardSigmoid", "HardSilu", "HardSwish", "HardTanh", "LeakyRelu", "Less",
            "LessEqual", "Log", "Log10", "Log1p", "Log2", "LogSigmoid", "Logaddexp",
            "LogicalAnd", "LogicalNot", "LogicalOr", "Maximum", "Minimum", "Mish",
            "Mod", "NanToNum", "Negative", "NotEqual", "OnesLike", "Power",
            "Reciprocal", "Relu", "Relu6", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign",
            "Silu", "Sin", "Sinh", "SoftShrink", "Softplus", "Softsign", "Sqrt",
            "Square", "Squareplus", "StopGradient", "Subtract", "Swish", "Tan", "Tanh",
            "TanhShrink", "Threshold", "TrueDivide", "Trunc", "Where", "ZerosLike",
        ),
        elementwise.Elementwise,
    ),
    "Multiply": elementwise.Product,
    **dict.fromkeys(("Average", "Mean", "Max", "Min"), contractions.Mean),
    **dict.fromkeys(("Norm", "Sum"), contractions.Sum),
    "Prod": positions.Sums,
    **dict.fromkeys(("Std", "Var"), positions.Deviations),
    "Moments": positions.Moments,
    **dict.fromkeys(("Cumprod", "Cumsum"), positions.Running),
    "Glu": positions.Halved,
    "DotProductAttention": contractions.Scored,
    "Normalize": contractions.Unit,
    **dict.fromkeys(("Flip", "Repeat", "Roll", "Take"), positions.Along),
    **dict.fromkeys(("AveragePool", "MaxPool", "Tile"), elementwise.Channelwise),
    "Resize": elementwise.Resized,
    **dict.fromkeys(("LogSoftmax", "Logsumexp", "Softmax"), positions.Shares),
    "Concatenate": elementwise.Joined,
    "Stack": elementwise.Stacked,
    "Reshape": shapes.ReshapedTo,
    "BroadcastTo": shapes.Spread,
    "Transpose": shapes.Transposed,
    "Swapaxes": shapes.Swapped,
    "Moveaxis": shapes.Reordered,
    "Matmul": products.MatrixProduct,
    "Einsum": products.Written,
    **dict.fromkeys(("ExpandDims", "Squeeze"), shapes.Lengthened),
    "GetItem": shapes.Sliced,
    "Pad": shapes.Padded,
    "Split": shapes.Divided,
    "Unstack": shapes.Unstacked,
}  # fmt: skip


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
