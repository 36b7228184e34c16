"""What a convolution multiplies its kernel by."""

import itertools

import numpy as np


def patches(layer, x):
    """The inputs that each output sees, zeros where the padding is.

    Args:
        layer: a convolution, `channels_last`.
        x: array `(n, positions..., c)`.

    Returns:
        Array `(n, output positions..., kernel positions, c)`.
    """
    sizes, steps = layer.kernel_size, layer.strides
    rates = np.broadcast_to(layer.dilation_rate, len(sizes))
    reach = [(k - 1) * d for k, d in zip(sizes, rates)]
    borders = [
        _border(layer.padding, n, r, s) for n, r, s in zip(x.shape[1:], reach, steps)
    ]
    x = np.pad(x, [(0, 0), *borders, (0, 0)])
    seen = []
    for position in itertools.product(*map(range, sizes)):
        starts = [p * d for p, d in zip(position, rates)]
        cuts = [
            slice(start, n - r + start, step)
            for start, n, r, step in zip(starts, x.shape[1:], reach, steps)
        ]
        seen.append(x[(slice(None), *cuts)])
    return np.stack(seen, axis=-2)


def _border(padding, n, reach, step):
    """Zeros in front and behind, as Keras puts them."""
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return reach, 0
    total = max(0, (-(-n // step) - 1) * step + reach + 1 - n)
    return total // 2, total - total // 2
