"""The W-update on TensorFlow: `train_step`, also under `tf.distribute`."""

import keras
from keras import ops


class Trainer:
    """The `train_step` of `ADMMModel`, which it is mixed into.

    One traced step serves ADMM and retraining: the phase is data.
    """

    def train_step(self, data):
        """One step of the W-update; under the mask, one of retraining."""
        import tensorflow as tf

        replica = tf.distribute.get_replica_context()
        replicas = replica.num_replicas_in_sync
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            task = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            loss = task + ops.cast(self.penalty() / replicas, task.dtype)
            loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(loss, self.trainable_weights)
        self._track_curvature(gradients, replica)
        self.optimizer.apply(
            self._restrict_gradients(gradients), self.trainable_weights
        )
        replica.merge_call(self._restrict_weights)
        self._progress.steps.assign_add(1)
        self._track_loss(task * replicas, x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def _track_curvature(self, gradients, replica):
        """The squared gradient of the task, of the whole batch, while ADMM runs."""
        scale = self.optimizer.scale_loss(ops.ones(()))
        found = {id(w): g for w, g in zip(self.trainable_weights, gradients)}
        for slot in self._slots:
            if slot.f is not None:
                g = ops.convert_to_tensor(found[id(slot.w)])
                g = replica.all_reduce("SUM", g) / ops.cast(scale, g.dtype)
                slot.track(g, self._progress.rho, self._progress.retraining())

    def _restrict_gradients(self, gradients):
        """Under the mask, so that no optimizer slot, norm or average moves."""
        slots = {id(slot.w): slot for slot in self._slots}
        return [
            slots[id(w)].restrict(ops.convert_to_tensor(g), self._progress.retraining())
            if id(w) in slots
            else g
            for g, w in zip(gradients, self.trainable_weights)
        ]

    def _restrict_weights(self, strategy):
        """Under the mask, so that no decay or constraint moves a zero."""
        for slot in self._slots:
            strategy.extended.update(
                slot.w.value,
                lambda w, slot: w.assign(slot.restrict(w, self._progress.retraining())),
                args=(slot,),
                group=False,
            )

    def _track_loss(self, loss, x):
        size = ops.shape(next(i for i in keras.tree.flatten(x) if i is not None))[0]
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=size)
