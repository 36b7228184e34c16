"""Recurrent layers: a unit is all of its gates."""

import math

import numpy as np

from tf_admm.structure.kinds.base import MAKES
from tf_admm.structure.kinds.base import READS
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import Link
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.base import value

#: Why a layer of one's own cell can't be run as a fully-connected one.
PERHAPS = "if the file runs it as a fully-connected layer, as float32"


#: Activations of candidates that are 0.0 at 0.0.
ZERO_AT_ZERO = ("elu", "gelu", "linear", "relu", "selu", "silu", "softsign", "tanh")


class Cell(Kind):
    """The cell of a recurrent layer, which holds its kernels."""

    prospect = PERHAPS


class Recurrent(Kind):
    """SimpleRNN, LSTM and GRU: a unit of which all gates are 0.0 puts out 0.0.

    With kernels `(inputs, gates * units)`, entry `g * units + u` is gate g of unit u.
    A dead unit's gates are constant, its candidate is `activation(0) = 0`, and so it
    stays at the 0.0 that it starts from.
    """

    opaque = False
    prospect = PERHAPS

    @staticmethod
    def places(kernel, inputs, outputs):
        return math.prod(outputs.shape[1:-1])

    def why_opaque(self):
        plain = (
            len(self.call.inputs) == len(self.call.outputs) == 1
            and not self.layer.stateful
            and getattr(self.layer.activation, "__name__", "")
            in ("tanh", "relu", "linear")
        )
        return None if plain else super().why_opaque()

    def _gates(self, variable):
        units = channels(self.y)
        starts = np.arange(variable.shape[-1] // units) * units
        return self.all_of(self.y) + starts

    def links(self):
        cell = self.layer.cell
        found = [
            Link(READS, cell.kernel, 0, self.x, self.all_of(self.x)),
            Link(READS, cell.recurrent_kernel, 0, self.y, self.all_of(self.y)),
        ]
        for w in (cell.kernel, cell.recurrent_kernel, cell.bias):
            if w is not None:
                axis = len(w.shape) - 1
                found.append(Link(MAKES, w, axis, self.y, self._gates(w)))
        return found

    def constants(self, known):
        dead = np.ones(channels(self.y), bool)
        for link in self.links():
            if link.role == MAKES:
                w = np.moveaxis(value(link.variable), link.axis, 0)
                zero = (w.reshape(len(w), -1) == 0).all(axis=1)
                dead &= zero[link.index].all(axis=1)
        return [(self.y, np.where(dead, 0.0, np.nan))]

    def config(self, config, size, shift):
        return config | {"units": size(self.y)}
