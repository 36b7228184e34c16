"""Which variables of a model can be pruned, how they are named, their axes.

Kernels are found as variables, by walking the tree of layers, so functional,
nested, shared, residual and subclassed models all work.
"""

import math

import keras
from keras import ops

from tf_admm.structure import kinds
from tf_admm.structure import walking

#: Names under which Keras layers keep kernels. What has another name is pruned
#: only when it is asked for by that name.
PRUNABLE = (
    "kernel",
    "recurrent_kernel",
    "depthwise_kernel",
    "pointwise_kernel",
)
#: Never pruned, also where a bias or a scale has several axes.
NEVER = ("bias", "gamma", "beta")
#: Factors that `enable_lora` adds to a kernel; one of them begins at 0.0.
ADAPTERS = ("lora_kernel_a", "lora_kernel_b", "lora_embeddings_a", "lora_embeddings_b")
#: What the files of the first release count. New names come after these.
COUNTED_FIRST = (*PRUNABLE, "embeddings")


class Kernel:
    """A variable that can be pruned, and where it stands.

    Attributes:
        variable: the `keras.Variable`.
        layer: the layer that owns it.
        paths: its structural paths, tuples of names: enclosing models, layer,
            sub-layers, variable. A shared layer has one for each place.
        by_name_only: whether it is pruned only when asked for by name: embeddings,
            and all that no Keras layer calls a kernel.
        axes: `(inputs, outputs)`, tuples of axes of the variable.
        shape: tuple, its shape in the order of Dense and Conv kernels,
            `(positions..., inputs, outputs)`, with one input in depthwise ones.
    """

    def __init__(self, variable, layer):
        self.variable = variable
        self.layer = layer
        self.paths = []
        self.by_name_only = variable.name not in PRUNABLE
        self.axes = kinds.axes(layer, variable, kernel=not self.by_name_only)
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
    def size(self):
        return math.prod(self.shape)

    def _first_depth(self, depth):
        """How much of a path of this depth names the kernel at the least."""
        if not self.by_name_only:
            return 1
        beside = any(v.name in PRUNABLE for v in walking.own_variables(self.layer))
        by_path = beside or depth == 1 or self.variable.name in ADAPTERS
        return depth if by_path else depth - 1

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

        What is pruned by name only goes by its own layer, not by those above. It goes
        by its own path alone where the layer's name stands for others: its kernels, or
        the embeddings that LoRA's factors are added to.
        """
        for path in self.paths:
            for depth in range(self._first_depth(len(path)), len(path)):
                yield path[depth - 1]
                yield "/".join(path[:depth])
            yield "/".join(path)


def find(model):
    """All `Kernel`s of `model`, each once, in the order of its layers.

    These are Keras' kernels and embeddings, and all other trainable variables of
    floats with two or more axes that are no biases or normalisation scales.
    """
    return [
        kernel
        for kernel in everything(model)
        if kernel.variable.name in COUNTED_FIRST or kernel.variable.trainable
    ]


def by_place(model):
    """The same in the order that files count them in, with untrainable ones, too.

    The kernels and embeddings that the first release knew come first, so that its
    files still name the same ones.
    """
    return sorted(everything(model), key=lambda k: k.variable.name not in COUNTED_FIRST)


def everything(model):
    """What `by_place` has, in the order of the layers."""
    found = {}
    for layer, path in walking.walk(model):
        for variable in walking.own_variables(layer):
            # A layer of one's own may call a vector so.
            if len(variable.shape) > 1 and _can_be_pruned(variable):
                kernel = found.setdefault(id(variable), Kernel(variable, layer))
                kernel.paths.append((*path, variable.name))
    return list(found.values())


def _can_be_pruned(variable):
    floats = keras.backend.is_float_dtype(variable.dtype)
    return variable.name in COUNTED_FIRST or (floats and variable.name not in NEVER)
