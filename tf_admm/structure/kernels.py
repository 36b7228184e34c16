"""Which variables of a model can be pruned, how they are named, their axes.

Kernels are found as variables, by walking the tree of layers, so functional,
nested, shared, residual and subclassed models all work.
"""

import math

from keras import ops

from tf_admm.structure import kinds

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
        shape: tuple, its shape in the order of Dense and Conv kernels,
            `(positions..., inputs, outputs)`, with one input in depthwise ones.
    """

    def __init__(self, variable, layer):
        self.variable = variable
        self.layer = layer
        self.paths = []
        self.axes = kinds.axes(layer, variable)
        inputs, outputs = self.axes
        inputs = tuple(axis for axis in inputs if axis not in outputs)
        taken = (*inputs, *outputs)
        places = tuple(a for a in range(len(variable.shape)) if a not in taken)
        self._order = (*places, *inputs, *outputs)
        sizes = variable.shape
        self.shape = tuple(sizes[axis] for axis in places) + tuple(
            math.prod(sizes[axis] for axis in group) for group in (inputs, outputs)
        )

    @property
    def path(self):
        """The first structural path, its parts joined by `/`."""
        return "/".join(self.paths[0])

    @property
    def by_name_only(self):
        return self.variable.name in BY_NAME_ONLY

    @property
    def size(self):
        return math.prod(self.shape)

    def canonical(self, x):
        """A tensor of the variable's shape, in the order that `shape` has."""
        return ops.reshape(ops.transpose(x, self._order), self.shape)

    def original(self, x):
        """The inverse of `canonical`."""
        moved = [self.variable.shape[axis] for axis in self._order]
        back = sorted(range(len(moved)), key=self._order.__getitem__)
        return ops.transpose(ops.reshape(x, moved), back)

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
        for variable in own_variables(layer):
            # A layer of one's own may call a vector so.
            if variable.name in PRUNABLE + BY_NAME_ONLY and len(variable.shape) > 1:
                kernel = found.setdefault(id(variable), Kernel(variable, layer))
                kernel.paths.append((*path, variable.name))
    return list(found.values())


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


def own_variables(layer):
    """The weights of a layer that none of its sub-layers has."""
    below = {id(v) for child in _children(layer) for v in child.variables}
    return [v for v in layer.weights if id(v) not in below]
