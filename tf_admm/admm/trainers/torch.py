"""The W-update on PyTorch."""

import keras
import numpy as np

from tf_admm.admm.trainers.steps import Steps


def either(predicate, yes, no):
    """Only what is chosen runs: PyTorch runs step by step."""
    return yes() if bool(predicate) else no()


def after(first, x):
    """It runs step by step as it is."""
    return x


class Trainer(Steps):
    """The `train_step` of `ADMMModel`, which it is mixed into."""

    def train_step(self, data):
        """One step of the W-update; under the mask, one of retraining."""
        import torch

        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)
        self.zero_grad()
        task = self.compute_loss(x, y, y_pred, sample_weight, training=True)
        self._track_loss(task.detach(), x)
        self.optimizer.scale_loss(task).backward()
        gradients = [w.value.grad for w in self.trainable_weights]
        with torch.no_grad():
            scale = self._scale()
            self._measure(gradients, scale)
            gradients = self._steer(gradients, scale)
            self.optimizer.apply(gradients, self.trainable_weights)
            self._restrict_weights()
            self._progress.steps.assign_add(1)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def _restrict_weights(self):
        """Nothing is copied where all is free."""
        if bool(self._progress.retraining()) or bool(self._progress.rounds > 0):
            super()._restrict_weights()

    def random_state(self):
        """The states of PyTorch's own generators, of which Keras' Dropout draws."""
        import torch

        states = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            states["cuda"] = torch.cuda.get_rng_state()
        return {name: state.numpy() for name, state in states.items()}

    def set_random_state(self, states):
        import torch

        states = {name: torch.tensor(np.asarray(s)) for name, s in states.items()}
        if "cpu" in states:
            torch.set_rng_state(states["cpu"])
        if "cuda" in states and torch.cuda.is_available():
            torch.cuda.set_rng_state(states["cuda"])


class Compiled:
    """A function of tensors that reads and assigns variables, without gradients."""

    def __init__(self, function, variables, like=None):
        self._function = function

    def __call__(self, *arguments):
        import torch

        with torch.no_grad():
            return self._function(*arguments)


#: For what a run calls once or twice.
Once = Compiled
