"""Zeros that stay zero in a plain Keras model."""

import warnings

import keras
from keras import ops

from tf_admm.structure import checks
from tf_admm.structure import kernels
from tf_admm.structure import members


class FrozenZeros(keras.constraints.Constraint):
    """Zero wherever a mask is False, such as where the weight was zero.

    Holds a mask, so it has no config of its own: the zeros are in the weights,
    from which `freeze_sparsity` makes it again.

    Args:
        variable: the weight.
        mask: boolean tensor of its shape.
    """

    def __init__(self, variable, mask):
        self.before = variable.constraint
        self.mask = ops.convert_to_tensor(mask)

    def __call__(self, w):
        if self.before is not None:
            w = self.before(w)
        w = ops.convert_to_tensor(w)
        return ops.where(self.mask, w, ops.cast(0, w.dtype))

    def get_config(self):
        raise ValueError(
            "`FrozenZeros` holds the zeros of one kernel and has no config of its "
            "own. Save the model, and call `tf_admm.freeze_sparsity` on it after "
            "loading."
        )


def freeze_sparsity(model: keras.Model) -> keras.Model:
    """Keep the zeros of a plain Keras model zero through any later `fit`.

    Each kernel gets a mask of the zeros that it has now, as its variable's constraint,
    after the constraint of its own. The optimizer applies it after every step, so
    neither momentum nor decay can move a zero. The same goes for biases, gamma and beta
    of channels that are 0.0 in all that makes them.

    The mask stays with the variable: build another model on these layers, and they keep
    it (one that was fitted before has to be compiled again). The model saves and loads
    as before; call this again after loading.

    An optimizer with `use_ema=True` writes averages of the weights over them as
    `fit` ends, without asking the constraints: call this again after `fit`, which
    puts the same zeros back.

    The factors of `enable_lora` stay free: what they add has no zeros, and a warning
    says so.

    Args:
        model: a built Keras model.

    Returns:
        The model.

    Raises:
        ValueError: if the model is not built, or no kernel of it has zeros.
    """
    checks.check_built(model)
    found = [k for k in kernels.find(model) if k.variable.name not in kernels.ADAPTERS]
    frozen = [kernel for kernel in found if _has_zeros(kernel.variable)]
    checks.warn_of_adapters(model, [k.variable for k in frozen], stacklevel=2)
    for kernel in frozen:
        _keep(kernel.variable, ops.convert_to_tensor(kernel.variable) != 0)
    for variable, mask in members.dead_entries(model):
        _keep(variable, mask)
    if not frozen:
        raise ValueError(
            "Expected a model with zeros in its kernels, such as the `.model` of a "
            f"finished `ADMMModel`. Received: the model '{model.name}' without any"
        )
    dead = [k.path for k in frozen if not bool(ops.any(k.variable.constraint.mask))]
    if dead:
        warnings.warn(
            f"These kernels were zero throughout, and will stay so: {dead}. If they "
            "are new, give them another initializer first.",
            stacklevel=2,
        )
    # A step that was traced before knows nothing of the constraints.
    model.train_function = None
    return model


def _has_zeros(variable):
    """Whether there are any, with those that averages were written over."""
    if isinstance(variable.constraint, FrozenZeros):
        variable.assign(variable.constraint(variable))
    return not bool(ops.all(ops.convert_to_tensor(variable) != 0))


def _keep(variable, mask):
    """Zero wherever the mask is False, from now on."""
    if isinstance(variable.constraint, FrozenZeros):
        variable.constraint = variable.constraint.before
    variable.constraint = FrozenZeros(variable, mask)
    variable.assign(variable.constraint(variable))
