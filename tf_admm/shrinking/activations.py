"""What an activation makes of constants."""

import numpy as np

#: Activations that take each number by itself.
ELEMENTWISE = {
    "celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid",
    "silu", "softplus", "softsign", "tanh", "tanh_shrink",
}  # fmt: skip


def is_elementwise(layer):
    activation = getattr(layer, "activation", None)
    return activation is None or getattr(activation, "__name__", "") in ELEMENTWISE


def activated(activation, constants):
    return constants if activation is None else applied(activation, constants)


def applied(function, constants):
    y = np.array(function(constants.astype("float32")[None])).ravel().astype("float64")
    return np.where(np.isnan(constants), np.nan, y)
