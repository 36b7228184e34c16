"""Fully-connected layers of sequences, as one operator."""

import math

import numpy as np

from tf_admm.export.tflite.rewriting import shapes


def keep_axes(editor, operator):
    """RESHAPE, FULLY_CONNECTED, RESHAPE as one FULLY_CONNECTED of all axes."""
    x, kernel, *bias = operator.inputs
    before = editor.maker(x, "RESHAPE")
    after = editor.only_reader(operator.outputs[0])
    if before is None or after is None or editor.name(after) != "RESHAPE":
        return None
    source, y = before.inputs[0], after.outputs[0]
    width, units = editor.shape(kernel)[::-1]
    if editor.shape(source)[-1] != width or editor.shape(y)[-1] != units:
        return None
    if not _same_places(editor, int(source), after):
        return None
    operator.inputs = np.array([source, kernel, *bias], "int32")
    operator.outputs = np.array([y], "int32")
    operator.builtinOptions.keepNumDims = True
    editor.replace(after, [])
    return [operator]


def _same_places(editor, source, after):
    """Whether a RESHAPE gives back all axes that a tensor has but the last."""
    before, made = editor.shape(source)[:-1], editor.shape(after.outputs[0])[:-1]
    if len(before) != len(made):
        return False
    computed = shapes.entries(editor, after.inputs[1]) or [None] * len(made)
    unknown = 0
    for axis, (a, b, entry) in enumerate(zip(before, made, computed)):
        if entry == (source, axis) or (a == b and a >= 0):
            continue
        if a >= 0 or b >= 0:
            return False
        unknown += 1
    # The size of all of it is the same, so one size that is left is, too.
    return unknown <= 1


def add_bias(editor, operator):
    """FULLY_CONNECTED, and an ADD of a constant after it, as one operator."""
    x, term = operator.inputs
    if editor.is_constant(x):
        x, term = term, x
    dense, between = _dense_before(editor, x)
    if dense is None or not editor.is_constant(term):
        return None
    y = operator.outputs[0]
    if editor.shape(x) != editor.shape(y) or not _is_bias(editor, term, dense, x):
        return None
    bias = _bias(editor, term, dense)
    if bias is None:
        return None
    for index in {int(dense.outputs[0]), int(x)}:
        editor.tensor(index).quantization = editor.tensor(y).quantization
    dense.inputs = np.array([*dense.inputs[:2], bias], "int32")
    activation = operator.builtinOptions.fusedActivationFunction
    dense.builtinOptions.fusedActivationFunction = activation
    last = between or dense
    last.outputs = np.array([y], "int32")
    return []


def _dense_before(editor, index):
    """The FULLY_CONNECTED before a tensor, and the RESHAPE between them if any."""
    if editor.only_reader(index) is None:
        return None, None
    between = editor.maker(index, "RESHAPE")
    if between is not None:
        index = between.inputs[0]
        if editor.only_reader(index) is None:
            return None, None
    return editor.maker(index, "FULLY_CONNECTED"), between


def _is_bias(editor, term, dense, x):
    """Whether it is one number for each unit, and nothing is done to them before."""
    shape = list(editor.shape(term))
    while shape[:1] == [1]:
        shape.pop(0)
    units, sizes = editor.shape(dense.inputs[1])[0], list(editor.shape(x))
    none = editor.schema.ActivationFunctionType.NONE
    return (
        math.prod(shape) == units
        and shape == sizes[len(sizes) - len(shape) :]
        and dense.builtinOptions.fusedActivationFunction == none
        and (len(dense.inputs) < 3 or dense.inputs[2] < 0)
    )


def _bias(editor, term, dense):
    """What is added as the bias of a layer, in its type; `None` if it can't be that."""
    kinds = {editor.dtype(i) for i in (*dense.inputs[:2], *dense.outputs)}
    constant = editor.constant(term)
    if kinds == {"FLOAT32"} and len(editor.shape(term)) == 1:
        return term
    if constant is None:
        return None
    name = editor.tensor(term).name
    if kinds == {"FLOAT32"}:
        return editor.add_constant(constant.ravel(), name)
    whole, scales = _whole(editor, constant, term, dense)
    if not (np.abs(whole) <= np.iinfo("int32").max).all():
        return None
    return editor.add_constant(whole.astype("int32"), name, (scales, 0))


def _whole(editor, constant, term, dense):
    """A constant of int8 in the scales of a layer's sums, and these."""
    scale, zero_point = editor.quantization(term)
    x, kernel = dense.inputs[:2]
    scales = np.asarray(editor.tensor(kernel).quantization.scale, "float64")
    scales = scales * editor.quantization(x)[0]
    return np.round((constant.ravel() - float(zero_point)) * scale / scales), scales
