"""Operators of int8 that LiteRT has slow kernels for, by operators with fast ones."""

import math

import numpy as np

#: Smallest and largest number of an int8 tensor.
LOW, HIGH = -128, 127
#: How far the scales of two terms of a sum may be apart, for XNNPACK.
APART = 128.0


def hard_swish(editor, operator):
    """x relu6(x + 3) / 6 as x h, where h = x / 6 + 1/2 is cut off at 0 and 1."""
    (x,), (y,) = operator.inputs, operator.outputs
    if editor.dtype(y) != "INT8":
        return None
    scale, zero_point = editor.quantization(x)
    if not 1 / APART < scale / 6 * 255 < APART:
        return None
    sixth = editor.add_constant(np.int8(HIGH), b"sixth", (1 / 6 / HIGH, 0))
    half = editor.add_constant(np.int8(HIGH), b"half", (1 / 2 / HIGH, 0))
    # The same whole numbers as x.
    u = editor.like(x, b"sixth of it", (scale / 6, zero_point))
    h = editor.like(x, b"hard_sigmoid", (1 / 255, LOW))
    return [
        editor.operator("MUL", [x, sixth], [u], 2),
        editor.operator("ADD", [u, half], [h], 2),
        editor.operator("MUL", [x, h], [y], 2),
    ]


def squared_difference(editor, operator):
    """(a - b)^2 as d d, where d = a - b reaches as far as the root of the square."""
    (a, b), (y,) = operator.inputs, operator.outputs
    if editor.dtype(y) != "INT8":
        return None
    scale, zero_point = editor.quantization(y)
    reach = math.sqrt(scale * max(HIGH - zero_point, 1))
    scales = [editor.quantization(i)[0] for i in (a, b)]
    if not all(1 / APART < s * HIGH / reach < APART for s in scales):
        return None
    d = editor.like(y, b"difference", (reach / HIGH, 0))
    return [
        editor.operator("SUB", [a, b], [d], 2),
        editor.operator("MUL", [d, d], [y], 2),
    ]


def relu(editor, operator):
    """max(x, 0) as x in the scale of y, which is cut off at 0."""
    (x,), (y,) = operator.inputs, operator.outputs
    if editor.dtype(y) != "INT8" or editor.quantization(y)[1] != LOW:
        return None
    return [editor.operator("QUANTIZE", [x], [y], 2)]


def relu6(editor, operator):
    """min(max(x, 0), 6) likewise, where the scale of y ends at 6."""
    (y,) = operator.outputs
    if editor.dtype(y) != "INT8":
        return None
    scale, zero_point = editor.quantization(y)
    ends = scale * (HIGH - zero_point) <= 6 * (1 + 1e-6)
    return relu(editor, operator) if ends else None


def prelu(editor, operator):
    """max(x, 0) + slopes min(x, 0) as max(x, slopes x), for slopes from 0 to 1."""
    (x, slopes), (y,) = operator.inputs, operator.outputs
    array = editor.constant(slopes)
    if editor.dtype(y) != "INT8" or array is None:
        return None
    scale, zero_point = editor.quantization(slopes)
    steep = (array.astype(float) - zero_point) * scale
    if steep.min() < 0 or steep.max() > 1:
        return None
    a, b = (editor.like(y, name, editor.quantization(y)) for name in (b"it", b"slope"))
    return [
        editor.operator("QUANTIZE", [x], [a], 2),
        editor.operator("MUL", [x, slopes], [b], 2),
        editor.operator("MAXIMUM", [a, b], [y], 2),
    ]


def rsqrt(editor, operator):
    """1 / sqrt(x) of numbers in float32: a few of each layer normalisation."""
    (x,), (y,) = operator.inputs, operator.outputs
    if editor.dtype(x) != "INT8" or editor.dtype(y) != "INT8":
        return None
    a, b = (editor.like(i, b"float32", dtype="FLOAT32") for i in (x, y))
    return [
        editor.operator("DEQUANTIZE", [x], [a], 2),
        editor.plain("RSQRT", [a], [b]),
        editor.operator("QUANTIZE", [b], [y], 2),
    ]
