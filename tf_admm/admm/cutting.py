"""What a run would be worth if its weights were cut now."""

import functools
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
        validation_data,
        validation_steps,
        validation_batch_size,
        batch_size,
        **_,
    ):
        """`evaluate_cut` of what `fit` validates on, as it does; `None` if on nothing.

        A function, since Keras wraps the containers among the attributes of a layer.
        """
        if validation_data is None:
            return None
        return functools.partial(
            self.evaluate_cut,
            validation_data,
            batch_size=validation_batch_size or batch_size,
            steps=validation_steps,
        )
