"""The W-update on TensorFlow: `train_step`, also under `tf.distribute`."""

import functools

import keras
from keras import ops

from tf_admm.admm.trainers.steps import Steps

#: Only what is chosen runs, so that a phase does not wait for what it throws away.
either = ops.cond


def after(first, x):
    import tensorflow as tf

    # Of a tensor from outside of a branch, the branch itself waits for nothing.
    with tf.control_dependencies([tf.identity(first)]):
        return tf.identity(x)


class Trainer(Steps):
    """The `train_step` of `ADMMModel`, which it is mixed into."""

    def train_step(self, data):
        """One step of the W-update; under the mask, one of retraining."""
        import tensorflow as tf

        replica = tf.distribute.get_replica_context()
        replicas = replica.num_replicas_in_sync
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            task = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            loss = self.optimizer.scale_loss(task)
        gradients = tape.gradient(loss, self.trainable_weights)
        scale = self._scale()
        self._measure(gradients, scale, lambda g: replica.all_reduce("SUM", g))
        gradients = self._steer(gradients, scale, 1 / replicas)
        self.optimizer.apply(gradients, self.trainable_weights)
        replica.merge_call(self._restrict_replicas)
        self._progress.steps.assign_add(1)
        self._track_loss(task * replicas, x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def _restrict_replicas(self, strategy):
        """All or none in one branch: one for each would hold a copy of each kernel."""

        def assigned(slots, made):
            for slot in slots:
                strategy.extended.update(
                    slot.w.value,
                    lambda w, slot: w.assign(made(slot, w)),
                    args=(slot,),
                    group=False,
                )
            return True

        regrown = [slot for slot in self._slots if slot.live is not None]
        ops.cond(
            self._progress.retraining(),
            lambda: assigned(self._slots, lambda slot, w: slot.restricted(w)),
            lambda: ops.cond(
                self._progress.rounds > 0,
                lambda: assigned(regrown, lambda slot, w: slot.alive(w)),
                lambda: False,
            ),
        )

    def _restrict_weights(self):
        self._restrict_replicas(self.distribute_strategy)

    def scope(self):
        return self.distribute_strategy.scope()

    @staticmethod
    def check_scope(found):
        """Raise unless the kernels were made in the current strategy's scope.

        Keras 3 itself trains in those of one process only.
        """
        import tensorflow as tf

        strategy = tf.distribute.get_strategy()
        trained = tf.distribute.MirroredStrategy, tf.distribute.OneDeviceStrategy
        if tf.distribute.has_strategy() and not isinstance(strategy, trained):
            names = [n for n, v in vars(tf.distribute).items() if v is type(strategy)]
            raise ValueError(
                "Expected a `tf.distribute` strategy that an `ADMMModel` trains in: "
                "`MirroredStrategy`, for the GPUs of one machine, or "
                "`OneDeviceStrategy`. For several machines or TPUs, use Keras on JAX "
                "(KERAS_BACKEND=jax) with `keras.distribution`. Received: "
                f"{[*names, type(strategy).__name__][0]}"
            )
        foreign = [
            kernel.path
            for kernel in found
            if not strategy.extended.variable_created_in_scope(kernel.variable.value)
        ]
        if foreign:
            raise ValueError(
                "Expected the model and its `ADMMModel` to be built in the scope of "
                f"the same `tf.distribute` strategy. Received: {strategy}, in whose "
                f"scope these kernels were not built: {foreign}"
            )


class Compiled:
    """A function of tensors that reads and assigns variables, as one graph.

    Args:
        function: of scalars and tensors.
        variables: list, those that it reads or assigns.
        like: an equal one of other variables; a graph is bound to its own.
    """

    def __init__(self, function, variables, like=None):
        import tensorflow as tf

        # Of methods TensorFlow counts the traces of all objects as those of one.
        self._function = tf.function(functools.partial(function), autograph=False)

    def __call__(self, *arguments):
        return self._function(*map(ops.convert_to_tensor, arguments))


class Once:
    """The same, for what a run calls once or twice: a trace takes ten calls' time."""

    def __init__(self, function, variables, like=None):
        self._function = function

    def __call__(self, *arguments):
        return self._function(*arguments)
