"""Recurrent layers: a unit is all of its gates."""

import dataclasses
import math

import keras
import numpy as np

from tf_admm.structure.kinds.base import PERHAPS
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.links import Tie
from tf_admm.structure.kinds.values import value

#: The cells of Keras.
CELLS = (keras.layers.SimpleRNNCell, keras.layers.LSTMCell, keras.layers.GRUCell)
#: Activations of candidates that are 0.0 at 0.0.
ZERO_AT_ZERO = ("elu", "gelu", "linear", "relu", "selu", "silu", "softsign", "tanh")


class Cell(Kind):
    """The cell of a recurrent layer, which holds its kernels."""

    @staticmethod
    def prospect(kernel):
        return PERHAPS


class Recurrent(Kind):
    """SimpleRNN, LSTM and GRU: a unit whose gates are all 0.0 puts out 0.0.

    With kernels `(inputs, gates * units)`, entry `g * units + u` is gate g of unit u.
    A dead unit's gates are constant, its candidate is `activation(0) = 0`, and so it
    stays at the 0.0 that it starts from. States that it is given, or returns, have the
    same units.
    """

    opaque = False

    @staticmethod
    def prospect(kernel):
        return PERHAPS

    @staticmethod
    def places(kernel, inputs, outputs):
        return math.prod(outputs.shape[1:-1])

    def why_opaque(self):
        activation = getattr(self.layer.cell.activation, "__name__", "")
        plain = (
            set(self.call.kwargs) <= {"initial_state", "mask", "training"}
            and self.call.given[0] is self.x
            and all(channels(x) == channels(self.y) for x in self._states())
            and not self.layer.stateful
            and activation in ZERO_AT_ZERO
        )
        return None if plain else super().why_opaque()

    def _given(self):
        """The states that it starts from."""
        return self.call.inputs[1:]

    def _states(self):
        return [*self._given(), *self.call.outputs[1:]]

    def ties(self):
        return [self.same(self.y, state) for state in self._states()]

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
        for state in self._given():
            dead &= known(state) == 0
        return [(y, np.where(dead, 0.0, np.nan)) for y in self.call.outputs]

    def config(self, config, size, shift):
        return config | {"units": size(self.y)}


class OfCell(Recurrent):
    """RNN, around one of the cells of these."""

    def why_opaque(self):
        known = type(self.layer.cell) in CELLS
        return super().why_opaque() if known else Kind.why_opaque(self)

    def config(self, config, size, shift):
        inner = self.layer.cell.get_config() | {"units": size(self.y)}
        return config | {"cell": config["cell"] | {"config": inner}}


class Both(Kind):
    """Bidirectional: two recurrent layers, which Keras wants of the same size.

    So unit u of one goes with unit u of the other. States are given, and returned,
    those of the first layer before those of the second.
    """

    opaque = False

    def __init__(self, call):
        super().__init__(call)
        layers = (self.layer.forward_layer, self.layer.backward_layer)
        self._merged = 0 if self.layer.merge_mode is None else 1
        own = [self.y, *call.outputs[1:2]]
        if self._merged:
            shapes = [(*self.y.shape[:-1], layer.units) for layer in layers]
            own = map(keras.KerasTensor, shapes)
        given = _halves(call.inputs[1:])
        states = _halves(call.outputs[2 - self._merged :])
        self.ways = [
            Recurrent(_way(call, *parts)) for parts in zip(layers, own, given, states)
        ]

    def why_opaque(self):
        reasons = [way.why_opaque() for way in self.ways if way.why_opaque()]
        return super().why_opaque() if reasons else None

    def inner(self):
        return [way.y for way in self.ways]

    def links(self):
        return [link for way in self.ways for link in way.links()]

    def _starts(self):
        """Where in the output each way's units begin."""
        joined = self.layer.merge_mode == "concat"
        return (0, channels(self.ways[0].y)) if joined else (0, 0)

    def ties(self):
        within = [tie for way in self.ways for tie in way.ties()]
        units = [np.arange(channels(way.y)) for way in self.ways]
        return [self.same(*self.inner()), *within] + [
            Tie(way.y, every, self.y, start + every)
            for way, every, start in zip(self.ways, units, self._starts())
            if self._merged
        ]

    def constants(self, known):
        ways = [way.constants(known) for way in self.ways]
        found = [pair for way in ways for pair in way]
        if not self._merged:
            return found
        first, second = (way[0][1] for way in ways)
        if self.layer.merge_mode == "concat":
            return [*found, (self.y, np.concatenate([first, second]))]
        return [*found, (self.y, np.where(first == second, first, np.nan))]

    def config(self, config, size, shift):
        layers = [
            keras.saving.serialize_keras_object(
                type(way.layer).from_config(
                    way.config(way.layer.get_config(), size, shift)
                )
            )
            for way in self.ways
        ]
        return config | {"layer": layers[0], "backward_layer": layers[1]}


def _halves(states):
    """Those of the first layer, and those of the second."""
    half = len(states) // 2
    return states[:half], states[half:]


def _way(call, layer, y, given, states):
    """What one of two layers is called on, and returns."""
    kwargs = call.kwargs | {"initial_state": given}
    x, result = call.inputs[:1], [y, *states]
    return dataclasses.replace(
        call, layer=layer, args=tuple(x), kwargs=kwargs, result=result
    )
