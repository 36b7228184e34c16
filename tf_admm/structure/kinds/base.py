"""What is known of a kind of layer: its weights' axes, and how channels pass.

A channel is an index of the last axis of a tensor.
"""

import math

import keras
import numpy as np

from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import Tie
from tf_admm.structure.kinds.values import nonzero

#: Of what the converter makes fully-connected layers of, or not, by its shapes.
PERHAPS = "if the file runs it as a fully-connected layer, as float32"


class Kind:
    """A layer that nothing is known of: all channels that touch it stay.

    Made for each call of a layer. A subclass says what is known.

    Args:
        call: the `Call`.
    """

    #: Whether channels can be taken out of it.
    opaque = True
    #: Whether a call on constants, without any tensor of the model, is seen, too.
    reads_constants = False

    def __init__(self, call):
        self.call = call
        self.layer = call.layer

    @classmethod
    def for_call(cls, call):
        """The kind of this very call, where a layer can be called in several ways."""
        return cls(call)

    # The weights.

    @staticmethod
    def axes(layer, variable):
        """`(inputs, outputs)`: axes of a kernel; the last two, unless said."""
        rank = len(variable.shape)
        return (rank - 2,), (rank - 1,)

    @staticmethod
    def places(kernel, inputs, outputs):
        """How often one weight of a kernel is multiplied in a call."""
        return math.prod(outputs.shape[1:-1])

    @staticmethod
    def prospect(kernel):
        """Whether zeros in a kernel can make a TFLite file faster, and where."""
        if kernel.shape[:-2] == (1, 1):
            return "only where XNNPACK runs it sparse: not on x86 with AVX"
        return "no: made dense as the file is loaded; fewer filters would"

    @staticmethod
    def rows(layer, variable, x):
        """What a call on `x` multiplies a kernel by, for each output.

        Returns:
            Array `(groups, n, inputs)`: in each of the groups, which share the outputs
            evenly, `rows @ w` are its outputs, w being `(inputs, outputs)`. `None`
            where the layer doesn't use the weight so.
        """
        return None

    # The channels.

    @property
    def x(self):
        """The first tensor that it was called on."""
        return self.call.inputs[0]

    @property
    def y(self):
        """The first tensor that it returned."""
        return self.call.outputs[0]

    def why_opaque(self):
        """Why this very call is opaque, or `None`; asked before all that follows."""
        return f"'{self.layer.name}' of type {type(self.layer).__name__}"

    def meet(self, makers, readers):
        """Told of its neighbours, once there is a kind for each call.

        Args:
            makers: dict from ids of tensors to the kind of the call that returned it.
            readers: dict from ids of tensors to the kinds of the calls on it, and
                `None` where the model returns it.
        """

    def follows(self, axis):
        """Whether it finds the channels of its input where they are along `axis`."""
        return False

    def before(self, y, letters):
        """The tensor whose channels `y` has along another axis, and its letters.

        Args:
            y: a tensor that it returned.
            letters: str, one for each axis of `y`.
        """
        return y, letters

    def is_repeatable(self):
        """Whether the call can be made again, of whatever sizes it is."""
        return True

    def inner(self):
        """Tensors that it keeps to itself, such as the heads of an attention."""
        return []

    def whole(self):
        """List of `(tensor, why)`: tensors that keep all of their channels."""
        return []

    def links(self):
        """List of `Link`."""
        return []

    def ties(self):
        """List of `Tie`."""
        return []

    def reads(self):
        """List of `(x, y, matrix)`, True where a channel of y depends on one of x."""
        found = []
        links = self.links()
        for a in (link for link in links if link.role == READS):
            for b in (link for link in links if link.role == MAKES):
                if a.variable is b.variable:
                    found.append((a.tensor, b.tensor, _adjacency(a, b)))
        return found

    def constants(self, known):
        """Of each tensor it returns or keeps, the channels that are constants.

        Weights are read by `tf_admm.kinds.value`, which may be asked what they would
        be if they were 0.0.

        Args:
            known: function from a tensor to an array with the constant that each
                channel is, NaN where it is none.

        Returns:
            List of `(tensor, array)`.
        """
        return []

    def foldable(self, x, constants):
        """Which channels of `x` can go, given that they are these constants."""
        return constants == 0

    def shift(self, constants):
        """What constant channels of `x` that go add to each channel of `y`."""
        return 0.0

    # The smaller layer.

    def made(self, config):
        """The layer, or a smaller one, of a config."""
        return type(self.layer).from_config(config)

    def config(self, config, size, shift):
        """The config of the smaller layer.

        Args:
            config: that of the layer.
            size: function from a tensor to the number of its channels that stay.
            shift: array, what is added to each output that stays.
        """
        return config

    def weights(self, sliced, shift, kept):
        """The weights of the smaller layer, from weights already cut to size.

        Args:
            sliced: list of arrays, in the order of the layer's weights.
            shift: array, what is added to each output that stays.
            kept: function from a tensor to a boolean array.
        """
        return sliced

    def alters(self, kept):
        """Whether more changes than its config: what it is called on, or beside it."""
        return False

    def apply(self, layer, args, kwargs, kept):
        """Call the smaller layer on the new tensors."""
        return layer(*args, **kwargs)

    # Help.

    def all_of(self, tensor):
        """Index of a link in which each channel is one entry."""
        return np.arange(channels(tensor))[:, None]

    def same(self, x, y):
        """The tie of tensors of the same channels."""
        every = np.arange(channels(x))
        return Tie(x, every, y, every)


def channels(tensor):
    """The size of the last axis; 1 of a scalar, and where it is not known."""
    return (tensor.shape[-1] or 1) if len(tensor.shape) else 1


def padded(x, stays):
    """A tensor with zeros at the end, as many as there are channels that are gone.

    Args:
        stays: boolean array of the channels that there were.
    """
    gone = int((~stays).sum())
    axes = [[0, 0]] * (len(x.shape) - 1)
    return keras.ops.pad(x, [*axes, [0, gone]]) if gone else x


def _adjacency(a, b):
    """Whether any entry of the variable joins a channel of one link and the other's."""
    there = nonzero(a.variable)
    first, second = (link.axis % there.ndim for link in (a, b))
    others = tuple(set(range(there.ndim)) - {first, second})
    matrix = there.any(axis=others)
    matrix = matrix if first < second else matrix.T
    rows = matrix[a.index].any(axis=1)
    return rows[:, b.index].any(axis=2)
