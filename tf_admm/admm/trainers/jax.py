"""The W-update on JAX: `train_step(state, data)`, a function without side effects."""

import contextlib
import pathlib
import tempfile

import keras
from keras import ops

from tf_admm.admm.trainers.steps import Steps


def either(predicate, yes, no):
    """One of two lists of tensors: XLA makes the choice part of the loops over them.

    A branch would be a round trip to the host on a GPU.
    """
    return [ops.where(predicate, a, b) for a, b in zip(yes(), no(), strict=True)]


def after(first, x):
    """XLA orders it; a barrier made no difference to the memory."""
    return x


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

    def sync(self):
        # Keras does so where a callback takes its `model`; a function may hold it, too.
        self.jax_state_sync()

    def add_like(self, variable, **kwargs):
        with _layout_of(variable):
            return super().add_like(variable, **kwargs)

    @contextlib.contextmanager
    def readable(self):
        from jax.experimental import multihost_utils

        of_optimizer = self.optimizer.variables if self.compiled else []
        spread = [
            variable
            for variable in (*self.variables, *of_optimizer)
            if not _is_readable(variable.value)
        ]
        values = [variable.value for variable in spread]
        wholes = []
        if spread:
            wholes = multihost_utils.process_allgather(values, tiled=True)
        for variable, whole in zip(spread, wholes):
            variable._value = whole
        try:
            yield
        finally:
            for variable, value, whole in zip(spread, values, wholes):
                if variable._value is whole:
                    variable._value = value

    @contextlib.contextmanager
    def writing(self, path):
        import jax

        with self.readable(), contextlib.ExitStack() as stack:
            if jax.process_index() > 0:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                path = pathlib.Path(folder) / pathlib.Path(path).name
            yield path

    @staticmethod
    def check_scope(found):
        """Raise unless the kernels were made in the current distribution."""
        now = keras.distribution.distribution()
        foreign = [k.path for k in found if not _is_made_in(now, k.variable)]
        if foreign:
            raise ValueError(
                "Expected the model and its `ADMMModel` to be built in the scope of "
                f"the same `keras.distribution`. Received: {now}, in whose scope these "
                f"kernels were not built: {foreign}"
            )

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
        like: an equal one of other variables, whose program serves for these; or
            `None`.
    """

    def __init__(self, function, variables, like=None):
        import jax

        def pure(values, arguments):
            with keras.StatelessScope(zip(variables, values)) as scope:
                result = function(*arguments)
            return _for_the_host(result), _values(scope, variables)

        self._variables = variables
        shardings = _shardings(variables)
        # Layouts may differ where there is a distribution.
        shared = like is not None and shardings is None
        compiled = jax.jit(pure, out_shardings=shardings)
        self._function = like._function if shared else compiled

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


def _shardings(variables):
    """Of a result and the variables' values, which stay where they are.

    Left to itself, XLA would choose.
    """
    if keras.distribution.distribution() is None:
        return None
    return None, [variable.value.sharding for variable in variables]


def _for_the_host(result):
    """A tensor, which is small, whole in each process; a list is for other programs."""
    import jax

    now = keras.distribution.distribution()
    if now is None or not ops.is_tensor(result):
        return result
    spec = jax.sharding.PartitionSpec()
    whole = jax.sharding.NamedSharding(now.device_mesh.backend_mesh, spec)
    return jax.lax.with_sharding_constraint(result, whole)


def _layout_of(variable):
    """In which new variables are sharded as this one is, whatever their paths."""
    now = keras.distribution.distribution()
    if now is None:
        return contextlib.nullcontext()
    layouts = keras.distribution.LayoutMap(now.device_mesh)
    layouts[".*"] = now.get_variable_layout(variable)
    return keras.distribution.ModelParallel(
        layout_map=layouts, batch_dim_name=now.batch_dim_name
    ).scope()


def _is_made_in(distribution, variable):
    devices = variable.value.sharding.device_set
    if distribution is None:
        return len(devices) == 1
    return devices == set(distribution.device_mesh.backend_mesh.devices.flat)


def _is_readable(value):
    """Whether this process has all of it."""
    return value.is_fully_addressable or value.is_fully_replicated
