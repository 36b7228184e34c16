"""What a model keeps from one call to the next."""

import contextlib

import keras
import numpy as np

from tf_admm.structure import walking


@contextlib.contextmanager
def fresh(model):
    """The model as it starts: the states of stateful recurrent layers are zero.

    These, and all else that is not trained, are as they were when this ends.
    """
    states = _recurrent(model)
    before = [(v, np.array(v)) for v in (*states, *model.non_trainable_variables)]
    try:
        for state in states:
            state.assign(np.zeros(state.shape, state.dtype))
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _recurrent(model):
    """The states of recurrent layers, which Keras does not count as variables."""
    # By hand, since `reset_states` fails for stacked cells.
    return [
        state
        for layer, _ in walking.walk(model)
        if isinstance(layer, keras.layers.RNN) and layer.stateful
        for state in keras.tree.flatten(layer.states)
    ]
