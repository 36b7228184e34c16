"""Calls of layers on symbolic tensors."""

import dataclasses
from typing import Any

import keras

#: Made up for sizes that are open, such as the batch and the length of a sequence.
SIZE = 4


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of one layer, or of an operation between layers.

    Attributes:
        layer: what was called.
        args: what it was called on, positional.
        kwargs: and by name.
        result: what it returned.
        inside: the calls that it made itself, if it was opened.
        within: the `Trace` of what it calls on tensors of made-up sizes, if it was
            not, or only into layers that can't be made again.
        found: masks that Keras found itself, which are not in `kwargs`: dict from
            names of arguments to the tensors that they ride on.
    """

    layer: Any
    args: tuple
    kwargs: dict
    result: Any
    inside: tuple = ()
    within: Any = None
    found: dict = dataclasses.field(default_factory=dict)

    @property
    def given(self):
        """The tensors it was called on, masks of positions among them."""
        return tensors((self.args, self.kwargs))

    @property
    def masks(self):
        """Those that say which positions count, as Keras passes them on."""
        ranks = [len(x.shape) for x in tensors(self.args)]
        masks = tensors(self.kwargs.get("mask"))
        return [x for x in masks if ranks and len(x.shape) < max(ranks)]

    @property
    def inputs(self):
        """The other tensors it was called on."""
        masks = {id(x) for x in self.masks}
        return [x for x in self.given if id(x) not in masks]

    @property
    def outputs(self):
        """The tensors it returned."""
        return tensors(self.result)

    def leaves(self):
        """Itself, or if it was opened the calls in it that open nothing."""
        if not self.inside:
            return [self]
        return [leaf for call in self.inside for leaf in call.leaves()]


@dataclasses.dataclass(frozen=True)
class Trace:
    """The calls of a model, in order, and the tensors at its borders.

    Attributes:
        roots: list of `Call`, those that the model makes itself.
        inputs: what the model was called on, in its own structure.
        outputs: what it returned, in its own structure.
    """

    roots: list
    inputs: Any
    outputs: Any

    @property
    def calls(self):
        """The calls that open nothing, in order."""
        return [leaf for call in self.roots for leaf in call.leaves()]


def tensors(structure):
    """The symbolic tensors in a structure, flat."""
    flat = keras.tree.flatten(structure)
    return [x for x in flat if isinstance(x, keras.KerasTensor)]


def sized(x):
    """A tensor of known sizes in the place of one whose sizes are open."""
    if not isinstance(x, keras.KerasTensor):
        return x
    return keras.KerasTensor([n or SIZE for n in x.shape], x.dtype)


def needed(calls, outputs):
    """The calls that the outputs depend on."""
    wanted, found = {id(x) for x in outputs}, []
    for call in reversed(calls):
        if any(id(x) in wanted for x in call.outputs):
            if call.inside:
                inside = needed(
                    call.inside, [x for x in call.outputs if id(x) in wanted]
                )
                call = dataclasses.replace(call, inside=tuple(inside))
            wanted.update(id(x) for x in call.given)
            found.append(call)
    return found[::-1]
