"""What a run would be worth if its weights were cut now."""

import math
from typing import Any

import keras

from tf_admm.admm import checkpoints


class Cutting:
    """The evaluation of an `ADMMModel` as if ADMM had ended; mixed into it."""

    def evaluate_cut(self, data: Any, **kwargs: Any) -> dict[str, float]:
        """What `evaluate` would say if ADMM ended now, and the weights were cut.

        Args:
            data: what `fit` takes as `validation_data`: a data set, or `(x, y)` or
                `(x, y, sample_weight)`.
            **kwargs: those of `evaluate`.

        Returns:
            Dict of floats, the loss and the compiled metrics.
        """
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        given = {"x": x, "y": y, "sample_weight": weights, **kwargs}
        drawn = self.random_state()
        try:
            with checkpoints.put_back([v for s in self._slots for v in s.variables]):
                self._settle()
                self._slots.trim()
                return self.evaluate(**given, verbose=0, return_dict=True)
        finally:
            # Data loaders draw, too: the training goes on as if nothing had been.
            self.set_random_state(drawn)

    def _validation(
        self,
        x,
        y,
        sample_weight,
        validation_data,
        validation_split,
        validation_steps,
        validation_batch_size,
        batch_size,
        **_,
    ):
        """`evaluate_cut` of what `fit` validates on, as it does; `None` if on nothing.

        A function, since Keras wraps the containers among the attributes of a layer.
        """
        if validation_data is None and not validation_split:
            return None

        def evaluated():
            data = validation_data
            if data is None:
                data = _set_aside((x, y, sample_weight), validation_split)
            return self.evaluate_cut(
                data,
                batch_size=validation_batch_size or batch_size,
                steps=validation_steps,
            )

        return evaluated


def _set_aside(data, share):
    """The last rows of arrays, as Keras takes them for `validation_split`."""
    parts = [part for part in data if part is not None]
    rows = len(keras.tree.flatten(parts)[0])
    start = math.floor(rows * (1.0 - share))
    return tuple(
        None if part is None else keras.tree.map_structure(lambda a: a[start:], part)
        for part in data
    )
