"""What ADMM holds for each kernel."""

import math

import keras
from keras import ops

from tf_admm.admm import updates
from tf_admm.constraints import metrics
from tf_admm.constraints import sharing
from tf_admm.structure import members

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
        z: float variable, Pi_S(w + u) of the last update.
        u: float variable, the scaled dual.
        settled: float variable, what retraining keeps of the last Z-step's z: its
            mask, 1.0 on the index set, or its levels or clusters.
        f: float variable, the moving average of the squared gradient of the task's
            loss; `None` where nothing asks for it.
        live: float variable, 1.0 where w may be nonzero in ADMM; `None` where that is
            everywhere.
    """

    def __init__(self, kernel, constraint, add_weight, measured, regrown):
        self.kernel = kernel
        self.constraint = constraint
        self.w = kernel.variable
        self.z = self._state(add_weight, "z", "zeros")
        self.u = self._state(add_weight, "u", "zeros")
        self.settled = self._state(add_weight, "settled", "ones")
        measured = measured or regrown or constraint.metric != "magnitude"
        self.f = self._state(add_weight, "f", "zeros") if measured else None
        self.live = self._state(add_weight, "live", "ones") if regrown else None

    def _state(self, add_weight, name, initializer):
        return add_weight(
            # All replicas reckon the same.
            aggregation="only_first_replica",
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

    def canonical(self, x):
        """A tensor of the shape of w, in the axis order of the constraints."""
        return self.kernel.canonical(ops.convert_to_tensor(x))

    def shifted(self):
        """`w + u`, in the axis order of the constraints."""
        return self.canonical(self.value() + self.u)

    def target(self):
        """What the W-step pulls `w + u` towards."""
        z, u, settled = (
            ops.convert_to_tensor(x) for x in (self.z, self.u, self.settled)
        )
        v = ops.stop_gradient(self.value() + u)
        return self.constraint.target(v, z, settled)

    def worth(self, v):
        """`v sqrt(s)` of `v = w + u`, s of the set's metric."""
        return metrics.weigh(self.constraint.metric, v, self.canonical(self.f))

    def track(self, gradient, rho, retraining):
        """`f <- d f + (1 - d) g^2`, g the gradient of the task alone, d = `DECAY`.

        Args:
            gradient: that of the task and the penalty, whose own is taken off:
                `rho (w + u - target)`. Where it is not finite, f stays: an optimizer
                that scales the loss leaves such a step out.
            rho: the penalty's.
            retraining: whether nothing is to be done, a boolean tensor.
        """
        f = ops.convert_to_tensor(self.f)

        def tracked():
            pull = rho * (self.value() + self.u - self.target())
            g = ops.cast(gradient, f.dtype) - pull
            mean = DECAY * f + (1.0 - DECAY) * ops.square(g)
            return ops.where(ops.isfinite(g), mean, f)

        self.f.assign(ops.cond(retraining, lambda: f, tracked))

    def z_step(self, settled):
        """`z <- Pi_S(w + u)`, given what it settles."""
        self.settled.assign(self.kernel.original(settled))
        self.z.assign(self._restrict(self.value() + self.u))

    def u_step(self):
        """`u <- u + w - z`."""
        self.u.assign(updates.dual_step(self.value() + self.u, self.z))

    def moved_by_a_cut(self):
        """The variables that a Z-step and `trim` change."""
        return [self.w, self.z, self.settled]

    def trim(self):
        """`w <-` the nearest with what z settled."""
        self.w.assign(self._restrict(ops.convert_to_tensor(self.w)))

    def cut(self):
        """`w <-` the nearest with what z settled, `z <- w`, `u <- 0`."""
        self.trim()
        self.z.assign(self.value())
        self.u.assign(ops.zeros_like(self.u))

    def restrict(self, w, retraining):
        """What retraining makes of w; else w itself, where it is live.

        Data decides, so that one trace of the train step serves both phases; by
        `cond`, so that ADMM doesn't wait for what is thrown away.
        """
        w = ops.convert_to_tensor(w)
        return ops.cond(retraining, lambda: self._restrict(w), lambda: self._alive(w))

    def _alive(self, w):
        return w if self.live is None else ops.where(self.live != 0, w, 0)

    def _restrict(self, w):
        settled = self.canonical(self.settled)
        restricted = self.constraint.restrict(self.canonical(w), settled)
        return self.kernel.original(restricted)

    def check_finite(self):
        """Raise if w or f holds NaN or infinity."""
        held = {"kernel": self.w, "squared gradient of": self.f}
        for name, x in held.items():
            if x is not None and not bool(ops.all(ops.isfinite(x))):
                raise ValueError(
                    f"Expected the {name} '{self.kernel.path}' to be finite before "
                    "the Z-step. Received: NaN or infinity in it. The training has "
                    "diverged: lower the learning rate, or rho."
                )


class Slots:
    """The slots of a model, to iterate over.

    Args:
        matched: the `Matched` of `(kernel, constraint)`.
        add_weight: that of the model which owns the state.
        measured: whether gradients are measured also where no set asks for it.
        regrown: whether `regrow` will be called.
    """

    def __init__(self, matched, add_weight, measured, regrown):
        self._slots = [Slot(*pair, add_weight, measured, regrown) for pair in matched]
        self._groups = sharing.together((s, s.constraint) for s in self._slots)
        self._channel_groups = matched.groups

    def __iter__(self):
        return iter(self._slots)

    def z_step(self, excess=1.0):
        """`z <- Pi_S(w + u)` for all, S keeping `excess` times as much as asked."""
        for constraint, slots in self._groups:
            vs = [slot.shifted() for slot in slots]
            given = [vs]
            # Before the first W-step no curvature is known, and magnitudes count.
            if slots[0].f is not None and any(bool(ops.any(s.f > 0)) for s in slots):
                given.append([slot.worth(v) for slot, v in zip(slots, vs)])
            parts = constraint.loosened(excess).settle(*given)
            for slot, settled in zip(slots, parts):
                slot.z_step(settled)

    def u_step(self):
        """`u <- u + w - z` for all."""
        for slot in self._slots:
            slot.u_step()

    def trim(self):
        """`w <-` the nearest with what z settled, for all."""
        for slot in self._slots:
            slot.trim()

    def cut(self):
        """`w <-` the nearest with what z settled, for all; then statistics."""
        for slot in self._slots:
            slot.cut()
        for group in self._channel_groups:
            members.silence(group)

    def regrow(self, excess):
        """Live is what z settled, and more up to `excess` of what the sets keep.

        What comes back has the largest squared gradients of the task, and is 0.0.
        """
        for constraint, slots in self._groups:
            kept = [slot.canonical(slot.settled) for slot in slots]
            gradients = [ops.sqrt(slot.canonical(slot.f)) for slot in slots]
            parts = constraint.loosened(excess).regrown(kept, gradients)
            for slot, live in zip(slots, parts):
                slot.live.assign(slot.kernel.original(live))

    def pull(self, steps):
        """`sqrt(E ||g||^2) / ||w||`, g measured over so many steps; 0.0 if none."""
        f = sum(float(ops.sum(slot.f)) for slot in self._slots)
        size = updates.norm(slot.value() for slot in self._slots)
        if not steps or not size:
            return 0.0
        return math.sqrt(f / (1.0 - DECAY**steps)) / size

    def is_settled(self):
        """Whether what z settled is of the sets themselves, not of looser ones."""
        return all(
            constraint.admits([slot.canonical(slot.settled) for slot in slots])
            for constraint, slots in self._groups
        )

    def check_feasible(self):
        """Raise unless all w are in their sets, zeros exactly."""
        for constraint, slots in self._groups:
            ws = [slot.canonical(slot.w) for slot in slots]
            settled = [slot.canonical(slot.settled) for slot in slots]
            if not constraint.holds(ws, settled):
                paths = [slot.kernel.path for slot in slots]
                counts = [int(ops.count_nonzero(w)) for w in ws]
                raise RuntimeError(
                    f"Expected the kernels {paths} to satisfy {constraint}. Received: "
                    f"{counts} nonzeros."
                )
