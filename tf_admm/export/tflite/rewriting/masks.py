"""Numbers behind a mask, which int8 has none for.

A mask puts -1e9, or the least number there is, in the place of scores of attention or
of what is pooled, or adds it. A scale that reaches so far leaves one number for all the
others.
"""

import copy

import numpy as np

#: What the scale of an int8 tensor is above, if it holds such a number. Scores that are
#: more than 255 apart are all or nothing to a softmax.
FAR = 1.0
#: Likewise where there is no softmax; inputs of a model may be far, too.
VERY_FAR = 100.0
#: What is left in float32, if what it returns reaches so far.
BETWEEN = (
    "ADD", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV",
    "EXPAND_DIMS", "FULLY_CONNECTED", "MAXIMUM", "MEAN", "MINIMUM", "MUL",
    "REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "SELECT", "SELECT_V2", "SLICE", "SQUEEZE",
    "STRIDED_SLICE", "SUB", "SUM", "TRANSPOSE",
)  # fmt: skip
#: What may lead out of that scale, besides these.
BEHIND = (*BETWEEN, "LOGISTIC", "TANH")


def softmax(editor, operator):
    """It and all before it in such a scale, in float32."""
    return _in_float32(editor, operator, FAR)


def near(editor, operator):
    """Any other operator whose result is in a scale of its own, likewise."""
    if any(_is_far(editor, y, VERY_FAR) for y in operator.outputs):
        return None
    return _in_float32(editor, operator, VERY_FAR)


def _in_float32(editor, operator, far):
    (y,) = operator.outputs
    cone = _cone(editor, operator, far)
    if len(cone) < 2 or editor.dtype(y) != "INT8":
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


def _is_far(editor, index, far):
    if index < 0 or editor.dtype(index) != "INT8":
        return False
    found = editor.quantization(index)
    return found is not None and found[0] > far


def _cone(editor, operator, far):
    """The operators, in order, in whose scale it is; none if one is of no use."""
    cone = [operator]
    wanted = {int(i) for i in operator.inputs if _is_far(editor, i, far)}
    for other in reversed(list(editor.graph.operators)):
        if not wanted & set(map(int, other.outputs)) or editor.floats_of(other):
            continue
        if editor.name(other) not in BETWEEN:
            return []
        cone.append(other)
        wanted |= {int(i) for i in other.inputs if _is_far(editor, i, far)}
    return cone[::-1]


def _in_float(editor, index, floats, found):
    """A tensor in float32, made by one more operator if need be; others as they are."""
    index = int(index)
    if index in floats or index < 0:
        return floats.get(index, index)
    values = editor.dequantized(index)
    if values is not None:
        floats[index] = editor.add_constant(values, b"float32")
    elif editor.dtype(index) == "INT8":
        floats[index] = editor.floats_of(editor.makers.get(index))
        if floats[index] is None:
            floats[index] = editor.like(index, b"float32", dtype="FLOAT32")
            found.append(editor.operator("DEQUANTIZE", [index], [floats[index]], 2))
    return floats.get(index, index)
