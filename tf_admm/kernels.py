"""Which variables of a model can be pruned, how they are named, their axes.

Kernels are found as variables, by walking the tree of layers, so functional,
nested, shared, residual and subclassed models all work.
"""

import re

import keras

from tf_admm.constraints import MaskConstraint

#: Names under which Keras layers keep what can be pruned.
PRUNABLE = (
    "kernel",
    "recurrent_kernel",
    "depthwise_kernel",
    "pointwise_kernel",
)
#: Pruned only when asked for by name.
BY_NAME_ONLY = ("embeddings",)


class Kernel:
    """A variable that can be pruned, and where it stands.

    Attributes:
        variable: the `keras.Variable`.
        layer: the layer that owns it.
        paths: its structural paths, tuples of names: enclosing models, layer,
            sub-layers, variable. A shared layer has one for each place.
        axes: `(inputs, outputs)`, tuples of axes of the variable.
    """

    def __init__(self, variable, layer):
        self.variable = variable
        self.layer = layer
        self.paths = []
        self.axes = axes(layer, variable)

    @property
    def path(self):
        """The first structural path, its parts joined by `/`."""
        return "/".join(self.paths[0])

    @property
    def by_name_only(self):
        return self.variable.name in BY_NAME_ONLY

    @property
    def size(self):
        return int(keras.ops.size(self.variable))

    def names(self):
        """All that a constraint key may be: names of layers, and paths.

        What is pruned by name only goes by its own layer, not by those above.
        """
        for path in self.paths:
            first = len(path) - 1 if self.by_name_only else 1
            for depth in range(first, len(path)):
                yield path[depth - 1]
                yield "/".join(path[:depth])
            yield "/".join(path)


def find(model):
    """All `Kernel`s of `model`, each once, in the order of its layers."""
    found = {}
    for layer, path in walk(model):
        for variable in _own_variables(layer):
            if variable.name in PRUNABLE + BY_NAME_ONLY:
                kernel = found.setdefault(id(variable), Kernel(variable, layer))
                kernel.paths.append((*path, variable.name))
    return list(found.values())


def match(kernels, constraints):
    """The constraint of each kernel: a list of `(kernel, constraint)`.

    Args:
        kernels: list of `Kernel`.
        constraints: a mapping from keys to constraints, of which the first
            that matches counts; or one constraint, for every trainable kernel
            that need not be asked for by name. A key is the name of a layer or
            a structural path, or a regular expression that matches one in
            full; the name of a composite layer covers the kernels under it.

    Raises:
        ValueError: if what is given as a constraint is none; if a key matches
            nothing, or nothing trainable; or if what it matches can't be told
            apart by its path.
    """
    choose = _by_key if isinstance(constraints, dict) else _without_keys
    chosen = [
        (kernel, constraint)
        for kernel, constraint in choose(kernels, constraints)
        if kernel.variable.trainable
    ]
    if not chosen:
        raise ValueError(
            "Expected at least one kernel to constrain. Received: "
            f"constraints={constraints}. Kernels of the model: {_listing(kernels)}"
        )
    _check_unambiguous([kernel for kernel, _ in chosen])
    return chosen


def _by_key(kernels, constraints):
    for key, constraint in constraints.items():
        _check_key(key, kernels)
        _check_constraint(f"constraints[{key!r}]", constraint)
    for kernel in kernels:
        keys = [key for key in constraints if matches(key, kernel)]
        if keys:
            yield kernel, constraints[keys[0]]


def _without_keys(kernels, constraint):
    _check_constraint("constraints", constraint)
    return [(kernel, constraint) for kernel in kernels if not kernel.by_name_only]


def matches(key, kernel):
    """Whether a constraint key covers a kernel."""
    names = set(kernel.names())
    if key in names or any(re.escape(name) == key for name in names):
        return True
    if kernel.by_name_only:
        return False
    try:
        pattern = re.compile(key)
    except (re.error, TypeError):
        return False
    return any(pattern.fullmatch(name) for name in names)


def _check_constraint(name, constraint):
    if not isinstance(constraint, MaskConstraint):
        raise ValueError(
            f"Expected `{name}` to be a constraint of `tf_admm.constraints`, such "
            f"as `Sparsity(0.9)`. Received: {name}={constraint}"
        )


def _check_key(key, kernels):
    covered = [kernel for kernel in kernels if matches(key, kernel)]
    if not covered:
        raise ValueError(
            "Expected each key of `constraints` to be the name or path of a "
            "layer with a kernel, or a regular expression that matches one in "
            f"full. Received: {key!r}, which matches none of "
            f"{_listing(kernels)}"
        )
    if not any(kernel.variable.trainable for kernel in covered):
        raise ValueError(
            "Expected the kernels to constrain to be trainable. Received: "
            f"{key!r}, which matches only the frozen {_listing(covered)}. Set "
            "`layer.trainable = True`, or leave the key out."
        )


def _check_unambiguous(kernels):
    paths = [kernel.path for kernel in kernels]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise ValueError(
            "Expected each constrained kernel to have a path of its own. "
            f"Received: more than one kernel at {twice}. Give the layers "
            "names of their own."
        )


def _listing(kernels):
    return [kernel.path for kernel in kernels]


def walk(layer, path=(), above=()):
    """Yield `(layer, path)` for a layer and all that it holds, in order."""
    yield layer, path
    above = (*above, id(layer))
    for child in _children(layer):
        # A layer may refer back to one that holds it.
        if id(child) not in above:
            yield from walk(child, (*path, child.name), above)


def _children(layer):
    # Keras offers `Model.layers` but no public list of the layers that another
    # layer holds (attention, wrappers, recurrent cells).
    return {id(child): child for child in layer._layers}.values()


def _own_variables(layer):
    below = {id(v) for child in _children(layer) for v in child.variables}
    return [v for v in layer.weights if id(v) not in below]


# Axes of a kernel: which index inputs, which outputs.


def _dense(layer, variable):
    """Dense `(d_in, d_out)`, Conv `(..., c_in, c_out)`, recurrent, Embedding."""
    rank = len(variable.shape)
    return (rank - 2,), (rank - 1,)


def _transposed(layer, variable):
    """Transposed convolutions, `(..., c_out, c_in)`."""
    rank = len(variable.shape)
    return (rank - 1,), (rank - 2,)


def _depthwise(layer, variable):
    """`(..., c_in, multiplier)`: each pair is an output of its own."""
    rank = len(variable.shape)
    return (rank - 2,), (rank - 2, rank - 1)


def _separable(layer, variable):
    rule = {"depthwise_kernel": _depthwise, "pointwise_kernel": _dense}
    return rule[variable.name](layer, variable)


def _einsum(layer, variable):
    """`"abc,cde->abde"`: kernel letters found on the left, and on the right."""
    operands, result = layer.equation.replace("...", "").split("->")
    source, kernel = operands.split(",")
    inputs = tuple(i for i, letter in enumerate(kernel) if letter in source)
    outputs = tuple(i for i, letter in enumerate(kernel) if letter in result)
    return inputs, outputs


AXES = {
    keras.layers.Layer: _dense,
    keras.layers.Conv1DTranspose: _transposed,
    keras.layers.Conv2DTranspose: _transposed,
    keras.layers.Conv3DTranspose: _transposed,
    keras.layers.DepthwiseConv1D: _depthwise,
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.SeparableConv1D: _separable,
    keras.layers.SeparableConv2D: _separable,
    keras.layers.EinsumDense: _einsum,
}


def axes(layer, variable):
    """`(inputs, outputs)`: the axes of `variable` in the table `AXES`."""
    rule = next(AXES[cls] for cls in type(layer).__mro__ if cls in AXES)
    return rule(layer, variable)
