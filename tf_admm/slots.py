"""What ADMM holds for one kernel."""

import keras
from keras import ops

from tf_admm import updates


class Slot:
    """One kernel's w, its set, z, u and mask.

    A plain object, kept in the plain `Slots`: variables in a list or tuple of a
    Keras model would make that model own the user's kernels a second time.

    Attributes:
        kernel: the `tf_admm.kernels.Kernel`.
        constraint: its set S.
        w: the kernel's variable.
        z: float variable, Pi_S(w + u) of the last update.
        u: float variable, the scaled dual.
        mask: float variable, 1.0 on the index set of the last Z-step.
    """

    def __init__(self, kernel, constraint, add_weight):
        self.kernel = kernel
        self.constraint = constraint
        self.w = kernel.variable
        self.z = self._state(add_weight, "z", "zeros")
        self.u = self._state(add_weight, "u", "zeros")
        self.mask = self._state(add_weight, "mask", "ones")

    def _state(self, add_weight, name, initializer):
        return add_weight(
            shape=self.w.shape,
            initializer=initializer,
            trainable=False,
            autocast=False,
            # At least float32, also for kernels of a lower precision.
            dtype=keras.backend.result_type(self.w.dtype, "float32"),
            name=name,
        )

    def value(self):
        """w in the precision of the state."""
        return ops.cast(self.w, self.z.dtype)

    def z_step(self):
        """`z <- Pi_S(w + u)` and its mask; returns `u + w - z`."""
        v = self.value() + self.u
        mask = self.constraint.mask(v)
        z, u = updates.dual_step(v, mask)
        self.mask.assign(ops.cast(mask, self.mask.dtype))
        self.z.assign(z)
        return u

    def freeze(self):
        """`w <- w * mask`, `z <- w`, `u <- 0`."""
        self.w.assign(self.restrict(self.w, retraining=1.0))
        self.z.assign(self.value())
        self.u.assign(ops.zeros_like(self.u))

    def restrict(self, w, retraining):
        """`w * mask` where `retraining` is 1.0, `w` where it is 0.0.

        Data decides, so that one trace of the train step serves both phases.
        """
        free = 1.0 - ops.cast(retraining, self.mask.dtype)
        return self.constraint.restrict(w, ops.maximum(self.mask, free))

    def check_finite(self):
        """Raise if w holds NaN or infinity."""
        if not bool(ops.all(ops.isfinite(self.w))):
            raise ValueError(
                f"Expected the kernel '{self.kernel.path}' to be finite before "
                "the Z-step. Received: NaN or infinity in it. The training has "
                "diverged: lower the learning rate, or rho."
            )

    def check_feasible(self):
        """Raise unless w is in its set."""
        w = ops.convert_to_tensor(self.w)
        if not bool(ops.all(self.constraint(w) == w)):
            raise RuntimeError(
                f"Expected the kernel '{self.kernel.path}' to satisfy "
                f"{self.constraint.get_config()}. Received: "
                f"{int(ops.sum(ops.cast(w != 0, 'int32')))} nonzeros."
            )


class Slots:
    """The slots of a model, to iterate over."""

    def __init__(self, slots):
        self._slots = list(slots)

    def __iter__(self):
        return iter(self._slots)
