"""Scores of attention behind a mask, which int8 has no numbers for.

A mask puts -1e9, or the least number there is, in the place of scores, or adds it. A
scale that reaches so far leaves one number for all the others.
"""

import copy

import numpy as np

#: What the scale of an int8 tensor is above, if it holds such a number. Scores that are
#: more than 255 apart are all or nothing to a softmax.
FAR = 1.0
#: What may be between the products of queries and keys, and the softmax.
BETWEEN = ("ADD", "BATCH_MATMUL", "DIV", "MUL", "RESHAPE", "SELECT", "SELECT_V2", "SUB")


def softmax(editor, operator):
    """It and all before it in such a scale, in float32."""
    (x,), (y,) = operator.inputs, operator.outputs
    if not _is_far(editor, x):
        return None
    cone = _cone(editor, operator)
    if cone is None:
        return None
    found, floats = [], {}
    for old in cone:
        new = copy.copy(old)
        inputs = [_in_float(editor, i, floats, found) for i in old.inputs]
        output = editor.like(old.outputs[0], b"float32", dtype="FLOAT32")
        floats[int(old.outputs[0])] = output
        new.inputs, new.outputs = np.array(inputs, "int32"), np.array([output], "int32")
        found.append(new)
    return [*found, editor.operator("QUANTIZE", [floats[int(y)]], [y], 2)]


def _is_far(editor, index):
    if editor.dtype(index) != "INT8" or editor.quantization(index) is None:
        return False
    return editor.quantization(index)[0] > FAR


def _cone(editor, operator):
    """The operators, in order, in whose scale it is; `None` if one is of no use."""
    cone, wanted = [operator], {int(operator.inputs[0])}
    for other in reversed(list(editor.graph.operators)):
        if not wanted & set(map(int, other.outputs)):
            continue
        if editor.name(other) not in BETWEEN:
            return None
        cone.append(other)
        wanted |= {int(i) for i in other.inputs if _is_far(editor, i)}
    return cone[::-1]


def _in_float(editor, index, floats, found):
    """A tensor in float32, made by one more operator if need be; others as they are."""
    index = int(index)
    if index in floats or editor.dtype(index) != "INT8":
        return floats.get(index, index)
    array = editor.constant(index)
    if array is None:
        floats[index] = editor.like(index, b"float32", dtype="FLOAT32")
        found.append(editor.operator("DEQUANTIZE", [index], [floats[index]], 2))
    else:
        scale, zero_point = editor.quantization(index)
        values = scale * (array.astype("float64") - zero_point)
        floats[index] = editor.add_constant(values.astype("float32"), b"float32")
    return floats[index]
