"""What an activation makes of constants."""

import keras
import numpy as np

#: Activations that take each number by itself.
ELEMENTWISE = {
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "mish", "relu",
    "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign",
    "sparse_plus", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
}  # fmt: skip


def is_elementwise(layer):
    """Whether a layer's activation, if it has one, is known to be."""
    activation = getattr(layer, "activation", None)
    return activation is None or getattr(activation, "__name__", "") in ELEMENTWISE


def activated(activation, constants):
    """Constants after an activation, or `None` for none."""
    return constants if activation is None else applied(activation, constants)


def applied(function, constants):
    """A function of a float32 tensor of shape `(1, n)` on constants, NaN if unknown."""
    y = function(np.nan_to_num(constants).astype("float32")[None])
    y = keras.ops.convert_to_numpy(y).ravel().astype("float64")
    return np.where(np.isnan(constants), np.nan, y)


def taken_together(kind):
    """The output of a layer, if an activation such as softmax needs all of it."""
    if is_elementwise(kind.layer):
        return []
    return [(kind.y, f"the activation of '{kind.layer.name}' takes all together")]
