"""Whether a layer calls in training what it calls otherwise.

Laid out flat, a layer of one's own is what it calls. What its code does in training
alone, or never in training, would be lost.
"""

import contextlib

import keras
import numpy as np

from tf_admm.structure.calls import Call


class Replay:
    """The calls of a layer once more, with `training=True`, held against the first.

    Nothing is computed: each call returns what it returned before.

    Args:
        layer: the layer.
        calls: list of `Call`, those that it made.
        result: what it returned.
    """

    def __init__(self, layer, calls, result):
        self._layer = layer
        self._left = list(calls)
        self._result = result
        self._is_open = None

    def run(self, args, kwargs):
        """Call the layer; raises where anything differs."""
        given = _without_training(kwargs)
        around, scope = Scope(), Scope(lambda: self._layer(*args, **given))
        around()
        try:
            with _nothing_assigned():
                scope(training=True)
        finally:
            # Keras tells whatever is called next what was told last.
            around(training=around.training)

    def begins(self, layer):
        """Whether this is the call of the layer itself."""
        return layer is self._layer and self._is_open is None

    def open(self, run):
        """What the layer returns, by new names, if it calls and returns the same."""
        self._is_open = True
        result = run()
        self._is_open = False
        if self._left or not _agree(result, self._result):
            raise ValueError("Expected as many calls in training, and the same result")
        return keras.tree.map_structure(
            lambda x: keras.KerasTensor(x.shape, x.dtype), result
        )

    @property
    def is_open(self):
        """Whether what is called is called by the layer."""
        return bool(self._is_open)

    def next(self, layer, args, kwargs):
        """What a call returned before, if it is the same in training.

        One that is told to train, or not to, is not: Keras tells it otherwise where it
        stands by itself.
        """
        call = self._left.pop(0) if self._left else Call(None, (), {}, None)
        before, now = (_without_training(each) for each in (call.kwargs, kwargs))
        same = _is_alike(layer, call.layer) and _agree((call.args, before), (args, now))
        told = call.kwargs.get("training") is True or kwargs.get("training") is False
        if not same or told:
            raise ValueError(f"Expected the same in training. Received: {layer}")
        return call.result


@contextlib.contextmanager
def _nothing_assigned():
    """A scope in which an assignment raises: it would be one more of each trial."""

    def refuse(variable, *args, **kwargs):
        raise ValueError(f"Expected no assignment in training. Received: {variable}")

    assign, keras.Variable.assign = keras.Variable.assign, refuse
    try:
        yield
    finally:
        keras.Variable.assign = assign


class Scope(keras.layers.Layer):
    """In which layers are called as it is: in training, or not.

    Args:
        run: function that calls them.

    Attributes:
        training: what it was told, by its own call or by one around it.
    """

    training = None

    def __init__(self, run=lambda: None):
        super().__init__()
        self.run = run

    def call(self, training=None):
        self.training = training
        return self.run()


def _without_training(kwargs):
    return {key: x for key, x in kwargs.items() if key != "training"}


def _is_alike(a, b):
    if isinstance(a, keras.Layer) or type(a) is not type(b):
        return a is b
    return _agree(a.get_config() | {"name": None}, b.get_config() | {"name": None})


def _agree(a, b):
    """Whether both hold the same tensors and equal numbers."""
    a, b = keras.tree.flatten(a), keras.tree.flatten(b)
    return len(a) == len(b) and all(map(_is_equal, a, b))


def _is_equal(x, y):
    if x is y:
        return True
    if isinstance(x, keras.KerasTensor) or isinstance(y, keras.KerasTensor):
        return False
    if keras.ops.is_tensor(x) or isinstance(x, np.ndarray):
        return np.array_equal(x, y)
    return repr(x) == repr(y)
