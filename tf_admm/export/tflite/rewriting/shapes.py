"""Shapes that a file computes as it runs, though they are known."""

import numpy as np


def reshape(editor, operator):
    """A RESHAPE to sizes that are known, all but one, has them as a constant."""
    if len(operator.inputs) < 2 or editor.constant(operator.inputs[1]) is not None:
        return None
    sizes = known(editor, operator)
    if not sizes or sum(size < 0 for size in sizes) > 1:
        return None
    shape = editor.add_constant(np.array(sizes, "int32"), b"shape")
    x, y = operator.inputs[0], operator.outputs[0]
    return [editor.operator("RESHAPE", [x, shape], [y], 1)]


def known(editor, operator):
    """Sizes of what a RESHAPE makes, -1 where they aren't known."""
    sizes = editor.shape(operator.outputs[0])
    computed = entries(editor, operator.inputs[1])
    if computed is None or len(computed) != len(sizes):
        return sizes
    numbers = [n if isinstance(n, int) else -1 for n in computed]
    return tuple(max(pair) for pair in zip(numbers, sizes))


def entries(editor, index):
    """What is in a vector of sizes: whole numbers, or `(tensor, axis)`, or `None`.

    Returns:
        A list, or `None` where it is computed in another way.
    """
    constant = editor.constant(index)
    if constant is not None:
        return [int(n) for n in constant.ravel()]
    operator = editor.makers.get(int(index))
    evaluate = operator and EVALUATED.get(editor.name(operator))
    return evaluate and evaluate(editor, operator)


def _shape(editor, operator):
    x = int(operator.inputs[0])
    sizes = enumerate(editor.shape(x))
    return [(x, i) if size < 0 else size for i, size in sizes]


def _gather(editor, operator):
    found = entries(editor, operator.inputs[0])
    places = editor.constant(operator.inputs[1])
    if found is None or places is None:
        return None
    return [found[i] for i in places.ravel()]


def _slice(editor, operator):
    found = entries(editor, operator.inputs[0])
    limits = [editor.constant(i) for i in operator.inputs[1:4]]
    if found is None or any(x is None or x.size != 1 for x in limits):
        return None
    start, stop, step = (int(x.ravel()[0]) for x in limits)
    options = operator.builtinOptions
    if options.shrinkAxisMask:
        return [found[start]]
    start = None if options.beginMask else start
    stop = None if options.endMask else stop
    return found[start:stop:step]


def _joined(editor, operator):
    found = [entries(editor, index) for index in operator.inputs]
    if any(part is None for part in found):
        return None
    return [size for part in found for size in part]


def _same(editor, operator):
    return entries(editor, operator.inputs[0])


def _one(editor, operator):
    """A number that is computed of others."""
    found = entries(editor, operator.inputs[0])
    if found is None or not all(isinstance(size, int) for size in found):
        return [None]
    return [int(np.prod(found))]


#: By the operator that computes it.
EVALUATED = {
    "SHAPE": _shape,
    "GATHER": _gather,
    "STRIDED_SLICE": _slice,
    "PACK": _joined,
    "CONCATENATION": _joined,
    "CAST": _same,
    "REDUCE_PROD": _one,
}
