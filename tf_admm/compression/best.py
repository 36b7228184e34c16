"""The best epoch of retraining."""

import os

import keras

from tf_admm import files


class Best(keras.callbacks.Callback):
    """Keeps the weights of the best epoch of retraining in a file, through a kill.

    Args:
        objective: a `judging.Objective`.
        first: int, the first epoch of retraining.
        folder: where the file goes.
    """

    def __init__(self, objective, first, folder):
        super().__init__()
        self._objective, self._first = objective, first
        self._weights = os.path.join(folder, "best.weights.h5")
        self._record = os.path.join(folder, "best.json")

    def on_epoch_end(self, epoch, logs=None):
        if epoch < self._first:
            return
        value = float(logs[f"val_{self._objective.name}"])
        if self._objective.drop(value) < self._least():
            # The value last: it says that the weights are there.
            self.model.model.save_weights(self._weights)
            files.save_json(value, self._record)

    def _least(self):
        """How much worse than the dense model the best so far is."""
        if not os.path.exists(self._record):
            return float("inf")
        return self._objective.drop(files.load_json(self._record))

    def restore(self, model):
        """Give a model the weights of the best epoch, if there was any."""
        if os.path.exists(self._record):
            model.load_weights(self._weights)
