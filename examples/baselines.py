"""Gradual magnitude pruning, to compare ADMM with."""

import keras
from keras import ops


class GradualMagnitude(keras.callbacks.Callback):
    """Prunes the smallest weights, a few more each time.

    The sparsity of step k follows the cubic schedule that tfmot uses,

        s_k = s (1 - (1 - k / K)^3),

    and what is pruned is set to zero after every step.

    Args:
        weights: list of `(variable, constraint)`, of `tf_admm.constraints.
            Sparsity` constraints, which hold the final sparsities s.
        steps: int, K, the step at which the final sparsity is reached.
        update_freq: int, steps of the optimizer from one mask to the next.

    Reference: Zhu and Gupta, 2017, arXiv:1710.01878.
    """

    def __init__(self, weights, steps, update_freq):
        super().__init__()
        self.weights = weights
        self.steps = steps
        self.update_freq = update_freq
        self.masks = []

    def on_epoch_begin(self, epoch, logs=None):
        # What is pruned is zero, so that a restored run needs no record of it.
        self.masks = [ops.cast(ops.not_equal(w, 0), w.dtype) for w, _ in self.weights]

    def on_train_batch_end(self, batch, logs=None):
        self.model.sync()
        step = int(self.model.optimizer.iterations)
        if step % self.update_freq == 0:
            progress = min(1.0, step / self.steps)
            done = 1.0 - (1.0 - progress) ** 3
            self.masks = [
                ops.cast(type(s)(s.sparsity * done).mask(w), w.dtype)
                for w, s in self.weights
            ]
        for (w, _), mask in zip(self.weights, self.masks):
            w.assign(w * mask)


class Masked(keras.callbacks.Callback):
    """Keeps the weights of an `ADMMModel` of rho = 0 under its masks.

    Without a pull, its masks are those of the weights alone, by the same metric and
    schedule: gradual pruning, with all else equal to ADMM.
    """

    def on_train_batch_end(self, batch, logs=None):
        self.model.sync()
        for weight, mask in self.model.masks:
            weight.assign(ops.where(mask, ops.convert_to_tensor(weight), 0))
