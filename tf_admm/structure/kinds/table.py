"""The one table of layer kinds."""

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
from tf_admm.structure.kinds import parts
from tf_admm.structure.kinds import positions
from tf_admm.structure.kinds import products
from tf_admm.structure.kinds import recurrent
from tf_admm.structure.kinds import shapes
from tf_admm.structure.kinds import steps
from tf_admm.structure.kinds import transposing
from tf_admm.structure.kinds.base import Kind

L = keras.layers


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
    L.GroupQueryAttention: attention.SharedHeads,
    "keras_hub>CachedMultiHeadAttention": decoder.Cached,
    **dict.fromkeys((L.SimpleRNN, L.LSTM, L.GRU), recurrent.Recurrent),
    **dict.fromkeys(recurrent.CELLS, recurrent.Cell),
    L.RNN: recurrent.OfCell,
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
    L.Permute: transposing.Permuted,
    **dict.fromkeys(
        (L.Add, L.Subtract, L.Average, L.Maximum, L.Minimum), elementwise.Merged
    ),
    L.Multiply: elementwise.MergedProduct,
    L.Dot: contractions.Inner,
    L.Attention: contractions.Weighted,
    L.AdditiveAttention: contractions.Additive,
    L.Concatenate: elementwise.Joined,
    L.Bidirectional: recurrent.Both,
}  # fmt: skip
#: Of layers that hold others, by package and name: what they call, where their own
#: code can't be run on no data.
OPENINGS = {
    "keras_hub>TransformerDecoder": decoder.opened,
    "keras>TimeDistributed": steps.opened,
}
#: Operations of `keras.ops` between layers, by name.
OPERATIONS = {
    **dict.fromkeys(
        (
            "Abs", "Absolute", "Add", "Arctan", "Cast", "Ceil", "Celu", "Clip", "Cos",
            "Cosh", "Elu", "Equal", "Erf", "Exp", "Expm1",
            "Floor", "FloorDivide", "Gelu", "Greater", "GreaterEqual", "HardShrink",
            "HardSigmoid", "HardSilu", "HardSwish", "HardTanh", "LeakyRelu", "Less",
            "LessEqual", "Log", "Log10", "Log1p", "Log2", "LogSigmoid", "Logaddexp",
            "LogicalAnd", "LogicalNot", "LogicalOr", "Maximum", "Minimum", "Mish",
            "Mod", "NanToNum", "Negative", "NotEqual", "OnesLike", "Power",
            "Reciprocal", "Relu", "Relu6", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign",
            "Silu", "Sin", "Sinh", "SoftShrink", "Softplus", "Softsign", "Sqrt",
            "Square", "Squareplus", "StopGradient", "Subtract", "Swish", "Tan", "Tanh",
            "TanhShrink", "Threshold", "Trunc", "Where", "ZerosLike",
        ),
        elementwise.Elementwise,
    ),
    "Multiply": elementwise.Product,
    **dict.fromkeys(("Divide", "DivideNoNan", "TrueDivide"), elementwise.Quotient),
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
    "Transpose": transposing.Transposed,
    "Swapaxes": transposing.Swapped,
    "Moveaxis": transposing.Reordered,
    "Matmul": products.MatrixProduct,
    "Einsum": products.Written,
    **dict.fromkeys(("ExpandDims", "Squeeze"), shapes.Lengthened),
    "GetItem": parts.Sliced,
    "Pad": parts.Padded,
    "Split": parts.Divided,
    "Unstack": parts.Unstacked,
}  # fmt: skip
