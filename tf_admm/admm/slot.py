"""What ADMM keeps for one kernel."""

import keras
from keras import ops

from tf_admm.admm import states
from tf_admm.admm import trainers
from tf_admm.admm import updates
from tf_admm.admm.regularizer import ADMMRegularizer
from tf_admm.constraints import metrics

#: Of the moving average of squared gradients, a step.
DECAY = 0.999


class Slot:
    """One kernel's w, its set, z, u and what z settles.

    A plain object, kept in the plain `Slots`: variables in a list or tuple of a
    Keras model would make that model own the user's kernels a second time.

    Attributes:
        kernel: the `tf_admm.structure.kernels.Kernel`.
        constraint: its set S, which other slots may share.
        w: the kernel's variable.
        state: its z, u, and what the last Z-step settled: `Disjoint` or `Both`.
        f: float variable, the moving average of the squared gradient of the task's
            loss; `None` where nothing asks for it.
        live: boolean variable, `True` where w may be nonzero in ADMM; `None` where that
            is everywhere.
    """

    def __init__(self, kernel, constraint, add_like, measured, regrown):
        self.kernel = kernel
        self.constraint = constraint
        self.w = kernel.variable
        self._add_like = add_like
        # At least float32, also for kernels of a lower precision.
        self.dtype = keras.backend.result_type(self.w.dtype, "float32")
        kind = states.Disjoint if constraint.disjoint else states.Both
        self.state = kind(self._add, self._project)
        measured = measured or regrown or constraint.metric != "magnitude"
        self.f = self._add("f", "zeros") if measured else None
        self.live = self._add("live", "ones", "bool") if regrown else None

    def _add(self, name, initializer, dtype=None):
        return self._add_like(
            self.w,
            # All replicas reckon the same.
            aggregation="only_first_replica",
            initializer=initializer,
            trainable=False,
            autocast=False,
            dtype=dtype or self.dtype,
            name=name,
        )

    def _project(self, w, settled):
        settled = self.canonical(settled)
        return self.kernel.original(
            self.constraint.restrict(self.canonical(w), settled)
        )

    @property
    def variables(self):
        """All of its variables, w first."""
        own = [*self.state.variables, self.f, self.live]
        return [self.w, *(variable for variable in own if variable is not None)]

    @property
    def kind(self):
        """What two slots must share to be worked on by one program; hashable."""
        given = self.f is not None, self.live is not None
        return self.w.shape, self.w.dtype, self.kernel.axes, given

    @property
    def z(self):
        return ops.convert_to_tensor(self.state.z)

    @property
    def u(self):
        return ops.convert_to_tensor(self.state.u)

    @property
    def settled(self):
        return self.state.settled

    def value(self):
        """w in the precision of the state."""
        return ops.cast(self.w, self.dtype)

    def canonical(self, x):
        """A tensor of the shape of w, in the axis order of the constraints."""
        return self.kernel.canonical(ops.convert_to_tensor(x))

    def shifted(self):
        """`w + u`, in the axis order of the constraints."""
        return self.canonical(self.value() + self.state.u)

    def worth(self, v, known):
        """`v sqrt(s)` of `v = w + u`, s of the set's metric once f is known."""
        worth = metrics.weigh(self.constraint.metric, v, self.canonical(self.f))
        return ops.where(known, worth, v)

    def regularizer(self, w, rho):
        """That of the W-update at w, as z and u are now."""
        return ADMMRegularizer(*self.state.target(w), rho)

    def measured(self, gradient):
        """`d f + (1 - d) g^2`, g the gradient of the task, d = `DECAY`.

        Where g is not finite, f stays: an optimizer that scales the loss leaves such a
        step out.
        """
        f = ops.convert_to_tensor(self.f)
        g = ops.cast(gradient, f.dtype)
        mean = DECAY * f + (1.0 - DECAY) * ops.square(g)
        return ops.where(ops.isfinite(g), mean, f)

    def pulled(self, gradient, rho):
        """The gradient of the W-step, from that of the task."""
        w = trainers.after(gradient, ops.convert_to_tensor(self.w))
        pull = self.regularizer(w, rho).gradient(w)
        return self.alive(gradient + ops.cast(pull, gradient.dtype))

    def restricted(self, x):
        """What retraining makes of w, or of a gradient."""
        return self.alive(self.state.project(x))

    def alive(self, x):
        """x, and 0.0 where w is not live."""
        x = ops.convert_to_tensor(x)
        if self.live is None:
            return x
        return ops.where(ops.convert_to_tensor(self.live), x, ops.cast(0, x.dtype))

    def update(self, settled):
        """The Z-step and the U-step; returns the sums that residuals are made of."""
        old = ops.convert_to_tensor(self.state.z)
        self.state.update(self.value(), settled)
        return updates.sums(self.value(), self.z, old)

    def trim(self):
        """`w <-` the nearest with what z settled."""
        self.w.assign(self.state.project(self.w))

    def restart(self):
        """`z <-` the nearest to w with what it settles, `u <- 0`."""
        self.state.restart(self.state.project(self.value()))

    def are_finite(self):
        """Whether w is, and f, a boolean tensor of shape `(2,)`."""
        held = self.w, self.w if self.f is None else self.f
        return ops.stack([ops.all(ops.isfinite(x)) for x in held])
