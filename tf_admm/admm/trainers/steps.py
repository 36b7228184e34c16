"""What the training steps of all backends share."""

import contextlib
import math

import keras
from keras import ops

#: Weights that one branch chooses for.
BRANCH = 2**20


class Steps:
    """The W-update from the gradients of the task on; mixed into the trainers.

    The gradient of the penalty, `rho (W - Z + U)`, is added to that of the task in
    closed form: no tensor of the penalty is kept for a backward pass, and the loss is
    the task's. One step serves ADMM and retraining: the phase is data.
    """

    def _steer(self, gradients, scale, share=1.0):
        """The gradients of the W-update; in retraining, those under the mask.

        No optimizer slot, norm or average moves where the mask is 0.0.

        Args:
            gradients: list of tensors or `None`, of the task, in the order of the
                trainable weights.
            scale: scalar tensor, by which the loss was scaled.
            share: float, the part of the penalty that this replica adds.
        """
        rho = self._progress.rho * ops.cast(scale, "float32") * share
        gradients = list(gradients)
        for places, slots in self._trained():
            given = [_dense(gradients[i], slot.w) for i, slot in zip(places, slots)]
            for i, g in zip(places, self._steered(slots, given, rho)):
                gradients[i] = g
        return gradients

    def _steered(self, slots, gradients, rho):
        """Data decides, so that one trace of the train step serves both phases."""
        return slots[0].state.either(
            self._progress.retraining(),
            lambda: [slot.restricted(g) for slot, g in zip(slots, gradients)],
            lambda: [slot.pulled(g, rho) for slot, g in zip(slots, gradients)],
        )

    def _trained(self):
        """`(places, slots)` of one branch: whose w are trainable weights, and where.

        One that was frozen since gets no gradient. A branch for each takes long to
        trace, and to enter; one of all would hold two gradients of each at once.
        """
        slots, found = {id(slot.w): slot for slot in self._slots}, []
        for place, w in enumerate(map(id, self.trainable_weights)):
            if w not in slots:
                continue
            slot = slots[w]
            if not found or not _go_together(found[-1][1], slot):
                found.append(([], []))
            for one, value in zip(found[-1], (place, slot)):
                one.append(value)
        return found

    def _measure(self, gradients, scale, reduced=lambda g: g):
        """The squared gradient of the task, of the whole batch, while ADMM runs."""
        for places, slots in self._trained():
            pairs = [pair for pair in zip(slots, places) if pair[0].f is not None]
            slots = [slot for slot, _ in pairs]
            given = [reduced(_dense(gradients[i], slot.w)) for slot, i in pairs]
            given = [g / ops.cast(scale, g.dtype) for g in given]
            for slot, f in zip(slots, self._measured(slots, given)):
                slot.f.assign(f)

    def _measured(self, slots, gradients):
        if not slots:
            return []
        return slots[0].state.either(
            self._progress.retraining(),
            lambda: [ops.convert_to_tensor(slot.f) for slot in slots],
            lambda: [slot.measured(g) for slot, g in zip(slots, gradients)],
        )

    def _restrict_weights(self):
        """Under the mask, so that no decay or constraint moves a zero."""
        for slot in self._slots:
            chosen = slot.state.either(
                self._progress.retraining(),
                lambda slot=slot: [slot.restricted(slot.w)],
                lambda slot=slot: [slot.alive(slot.w)],
            )
            slot.w.assign(chosen[0])

    def _scale(self):
        """The factor by which the optimizer scales the loss, a scalar tensor."""
        return self.optimizer.scale_loss(ops.ones(()))

    def _track_loss(self, loss, x):
        """The mean over the epoch, which Keras' own steps keep."""
        size = ops.shape(next(i for i in keras.tree.flatten(x) if i is not None))[0]
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=size)

    def scope(self):
        """In which variables are assigned outside of a step."""
        return contextlib.nullcontext()

    def sync(self):
        """Bring into the variables what a train step holds, if it does."""

    def random_state(self):
        """What is drawn from beside the seeds of the model, as arrays by name."""
        return {}

    def set_random_state(self, states):
        """Draw from there on; states of another backend's mean nothing here."""

    def add_like(self, variable, **kwargs):
        """A new variable of the shape of another, and sharded as that one is."""
        return self.add_weight(shape=variable.shape, **kwargs)

    def readable(self):
        """In which this process can read all variables, sharded over several or not.

        All processes enter it together. What is assigned there counts as it ends.
        """
        return contextlib.nullcontext()

    def writing(self, path):
        """The same, to write a file; gives the path that this process writes it to.

        The first process writes the file, and the others one that is thrown away: what
        Keras does meanwhile, such as making an optimizer, all must do.
        """
        return contextlib.nullcontext(path)

    @staticmethod
    def check_backend():
        """Raise if the backend trains nothing."""

    @staticmethod
    def check_scope(found):
        """Raise if kernels were made where they can't be trained."""


def _go_together(slots, other):
    """Whether a slot is chosen for as these, and all are small."""
    sizes = [math.prod(slot.w.shape) for slot in (*slots, other)]
    return slots[0].state.either is other.state.either and sum(sizes) <= BRANCH


def _dense(gradient, w):
    """A gradient as a tensor; zeros where the loss does not depend on w."""
    return ops.zeros_like(w) if gradient is None else ops.convert_to_tensor(gradient)
