"""Depthwise convolutions of large kernels as sums of some of few rows."""

import copy

import numpy as np

#: Weights of a channel that XNNPACK has a fast kernel for, at most.
TAPS = 25


def split(editor, operator):
    """A kernel of more than `TAPS` weights a channel, as kernels of fewer, summed.

    Each part sees the rows of the padded images that its rows of the kernel reach.
    Of float32 only: how large the parts of an int8 sum get is not known.
    """
    x, kernel, *bias = operator.inputs
    array = _large(editor, operator, "FLOAT32")
    if array is None:
        return None
    rows, columns = array.shape[1:3]
    size, found = operator.builtinOptions, []
    source = _padded(editor, operator, x, rows, columns, found)
    y = operator.outputs[0]
    steps = (editor.shape(y)[1] - 1) * size.strideH
    # The bias is added once.
    zero = editor.add_constant(np.zeros(array.shape[-1], "float32"), b"zeros")
    first = bias[0] if bias and bias[0] >= 0 else zero
    total = None
    for start in range(0, rows, TAPS // columns):
        part = array[:, start : start + TAPS // columns]
        seen = _rows(editor, source, start, steps + part.shape[1], found)
        name = editor.tensor(kernel).name
        weights = editor.add_constant(np.ascontiguousarray(part), name)
        made = editor.like(y, b"part")
        inputs = [seen, weights, first if total is None else zero]
        found.append(_convolution(editor, operator, inputs, made))
        if total is not None:
            added = editor.like(y, b"sum")
            found.append(editor.operator("ADD", [total, made], [added], 1))
            made = added
        total = made
    last = found[-1]
    last.outputs = np.array([y], "int32")
    last.builtinOptions.fusedActivationFunction = size.fusedActivationFunction
    return found


def in_float(editor, operator):
    """An int8 kernel of more than `TAPS` weights a channel, in float32.

    Each channel is multiplied by its few weights alone, so that what int8 saves is
    less than what LiteRT's kernel for large ones takes longer. The weights are the same
    numbers, rounded to int8.
    """
    x, kernel, *bias = operator.inputs
    (y,), scale = operator.outputs, editor.quantization(x)
    if _large(editor, operator, "INT8") is None or scale is None:
        return None
    found = [editor.constant(i) for i in bias if i >= 0]
    if any(array is None for array in found):
        return None
    parameters, stored = editor.tensor(kernel).quantization, editor.constant(kernel)
    scales = np.asarray(parameters.scale, "float32")
    along = np.moveaxis(stored, parameters.quantizedDimension, -1) * scales
    weights = [np.moveaxis(along, -1, parameters.quantizedDimension)]
    weights += [array * (scales * scale[0]) for array in found]
    names = [editor.tensor(i).name for i in (kernel, *bias)]
    constants = [
        editor.add_constant(array.astype("float32"), name)
        for array, name in zip(weights, names)
    ]
    a, b = (editor.like(i, b"float32", dtype="FLOAT32") for i in (x, y))
    same = copy.copy(operator)
    same.inputs, same.outputs = np.array([a, *constants]), np.array([b])
    return [
        editor.operator("DEQUANTIZE", [x], [a], 2),
        same,
        editor.operator("QUANTIZE", [b], [y], 2),
    ]


def _large(editor, operator, dtype):
    """The kernel `(1, rows, columns, channels)`, or `None` if it can't be split.

    Or need not be. CONV_2D has one, too, where each group has one channel.
    """
    x, kernel = operator.inputs[:2]
    array, images = editor.constant(kernel), editor.shape(x)
    if array is None or editor.dtype(kernel) != dtype or images[-1] < 2:
        return None
    if editor.name(operator) == "CONV_2D":
        if array.shape[3] != 1:
            return None
        array = np.moveaxis(array, 0, -1)[:, :, 0][None]
    rows, columns = array.shape[1:3]
    options = operator.builtinOptions
    plain = options.dilationHFactor == options.dilationWFactor == 1
    alone = array.shape[-1] == images[-1]
    large = columns <= TAPS < rows * columns and min(images[1:]) >= 0
    return array if plain and alone and large else None


def _padded(editor, operator, x, rows, columns, found):
    """The images with the zeros that the padding asks for."""
    options, images = operator.builtinOptions, editor.shape(x)
    if options.padding == editor.schema.Padding.VALID:
        return x
    pads = [[0, 0], [0, 0], [0, 0], [0, 0]]
    strides = (options.strideH, options.strideW)
    for axis, size, stride in zip((1, 2), (rows, columns), strides):
        steps = -(-images[axis] // stride)
        total = max((steps - 1) * stride + size - images[axis], 0)
        pads[axis] = [total // 2, total - total // 2]
    shape = [n + sum(pad) if n >= 0 else n for n, pad in zip(images, pads)]
    y = editor.like(x, b"padded", shape=shape)
    by = editor.add_constant(np.array(pads, "int32"), b"paddings")
    found.append(editor.operator("PAD", [x, by], [y], 1))
    return y


def _rows(editor, x, start, number, found):
    """So many rows of images, from one of them on."""
    shape = editor.shape(x)
    y = editor.like(x, b"rows", shape=[shape[0], number, *shape[2:]])
    begin = editor.add_constant(np.array([0, start, 0, 0], "int32"), b"begin")
    size = editor.add_constant(np.array([-1, number, -1, -1], "int32"), b"size")
    found.append(editor.operator("SLICE", [x, begin, size], [y], 1))
    return y


def _convolution(editor, operator, inputs, made):
    old = operator.builtinOptions
    new = editor.operator("DEPTHWISE_CONV_2D", inputs, [made], 1)
    options = copy.copy(new.builtinOptions)
    options.padding = editor.schema.Padding.VALID
    options.strideH, options.strideW = old.strideH, old.strideW
    options.dilationHFactor = options.dilationWFactor = options.depthMultiplier = 1
    new.builtinOptions = options
    return new
