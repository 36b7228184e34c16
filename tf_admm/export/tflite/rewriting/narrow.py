"""Sums and products of which only the first channels are read, of these alone.

As at the end of a layer normalisation in a shrunk model, whose mean and variance are
over all the channels that there were.
"""

import copy

import numpy as np

ELEMENTWISE = ("ADD", "SUB", "MUL")


def narrow(editor, operator):
    """A slice of the first channels, by what makes it, of the first channels."""
    x, y = operator.inputs[0], operator.outputs[0]
    full, width = editor.shape(x), editor.shape(y)
    if not _is_of_first_channels(editor, operator, full, width):
        return None
    cone = _cone(editor, operator)
    if not cone:
        return None
    found, narrowed = [], {}
    for old in cone:
        new = copy.copy(old)
        inputs = [_input(editor, i, full, width, narrowed) for i in old.inputs]
        if None in inputs:
            return None
        is_last = int(old.outputs[0]) == int(x)
        made = y if is_last else _like(editor, old.outputs[0], width)
        new.inputs, new.outputs = np.array(inputs, "int32"), np.array([made], "int32")
        narrowed[int(old.outputs[0])] = made
        found.append(new)
    return found


def _is_of_first_channels(editor, operator, full, width):
    """Whether nothing but the last channels are left out, of the same numbers."""
    if len(full) < 2 or len(full) != len(width) or full[:-1] != width[:-1]:
        return False
    begin, _, strides = (editor.constant(i) for i in operator.inputs[1:4])
    options = operator.builtinOptions
    if begin is None or strides is None or len(begin) != len(full):
        return False
    if options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask:
        return False
    first = begin[-1] == 0 or options.beginMask >> (len(full) - 1) & 1
    x, y = operator.inputs[0], operator.outputs[0]
    alike = editor.quantization(x) == editor.quantization(y)
    return 0 < width[-1] < full[-1] and first and (strides == 1).all() and alike


def _cone(editor, operator):
    """The operators, in order, that nothing but each other and the slice reads."""
    full, cone = editor.shape(operator.inputs[0]), [operator]
    for other in reversed(list(editor.graph.operators)):
        if editor.name(other) not in ELEMENTWISE:
            continue
        y = other.outputs[0]
        readers = editor.readers[int(y)]
        inside = all(any(r is one for one in cone) for r in readers)
        if readers and inside and editor.shape(y) == full:
            cone.append(other)
    return cone[:0:-1]


def _input(editor, index, full, width, narrowed):
    """What a narrower operator reads in the place of a tensor, or `None`."""
    shape = editor.shape(index)
    if int(index) in narrowed:
        return narrowed[int(index)]
    if not shape or shape[-1] == 1:
        return index
    array = editor.constant(index)
    if array is not None:
        name, scale = editor.tensor(index).name, editor.quantization(index)
        part = np.ascontiguousarray(array[..., : width[-1]])
        return editor.add_constant(part, name, scale)
    pad = editor.maker(index, "PAD")
    same = pad is not None and editor.shape(pad.inputs[0]) == width
    if not same or shape != full:
        return None
    before = editor.constant(pad.inputs[1])
    at_end = before is not None and not before[:, 0].any()
    alike = editor.quantization(pad.inputs[0]) == editor.quantization(index)
    return pad.inputs[0] if at_end and alike else None


def _like(editor, index, shape):
    return editor.like(index, b"narrow", editor.quantization(index), shape)
