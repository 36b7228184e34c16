"""The W-update on JAX: `train_step(state, data)`, a function without side effects."""

import keras
from keras import ops

from tf_admm.admm.trainers.steps import Steps


def either(predicate, yes, no):
    """Both, and one of them is taken: XLA makes that part of the loop over the tensor.

    A branch would be a round trip to the host on a GPU.
    """
    return ops.where(predicate, yes(), no())


class Trainer(Steps):
    """The `train_step` of `ADMMModel`, which it is mixed into."""

    def train_step(self, state, data):
        """One step of the W-update; under the mask, one of retraining."""
        import jax

        w, untrained, of_optimizer, of_metrics = state
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        differentiated = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (_, (task, y_pred, untrained, of_metrics)), gradients = differentiated(
            w, untrained, of_metrics, x, y, sample_weight,
            training=True, optimizer_variables=of_optimizer,
        )  # fmt: skip
        with self._holding(w, untrained, of_optimizer) as scope:
            scale = self._scale()
            self._measure(gradients, scale)
            gradients = self._steer(gradients, scale)
        untrained = _values(scope, self.non_trainable_variables)
        w, of_optimizer = self.optimizer.stateless_apply(of_optimizer, gradients, w)
        with self._holding(w, untrained, of_optimizer) as scope:
            self._restrict_weights()
            self._progress.steps.assign_add(1)
        w = _values(scope, self.trainable_variables)
        untrained = _values(scope, self.non_trainable_variables)
        with keras.StatelessScope(zip(self.metrics_variables, of_metrics)) as scope:
            self._track_loss(task, x)
            logs = self.compute_metrics(x, y, y_pred, sample_weight)
        of_metrics = _values(scope, self.metrics_variables)
        return logs, (w, untrained, of_optimizer, of_metrics)

    def _holding(self, w, untrained, of_optimizer):
        """In which the variables have these values, and new ones are noted."""
        return keras.StatelessScope(
            [
                *zip(self.trainable_variables, w),
                *zip(self.non_trainable_variables, untrained),
                *zip(self.optimizer.variables, of_optimizer),
            ]
        )


class Compiled:
    """A function of tensors that reads and assigns variables, compiled once.

    Args:
        function: of scalars and tensors.
        variables: list, those that it reads or assigns.
    """

    def __init__(self, function, variables):
        import jax

        def pure(values, arguments):
            with keras.StatelessScope(zip(variables, values)) as scope:
                result = function(*arguments)
            return result, _values(scope, variables)

        self._variables = variables
        self._function = jax.jit(pure)

    def __call__(self, *arguments):
        before = [variable.value for variable in self._variables]
        result, after = self._function(before, arguments)
        for variable, value in zip(self._variables, after):
            variable.assign(value)
        return result


#: For what a run calls once or twice: op by op, as much would be compiled.
Once = Compiled


def _values(scope, variables):
    return [scope.get_current_value(variable) for variable in variables]
