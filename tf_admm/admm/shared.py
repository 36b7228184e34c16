"""What is done to the kernels that share a set, compiled."""

import functools

from keras import ops

from tf_admm.admm import trainers

#: What is compiled, and how: for each update of Z and U, or for once or twice in a run.
PROGRAMS = {
    "nearest": trainers.Compiled,
    "update": trainers.Compiled,
    "rescale": trainers.Compiled,
    "penalty": trainers.Compiled,
    "are_finite": trainers.Compiled,
    "begin": trainers.Once,
    "settle": trainers.Once,
    "trim": trainers.Once,
    "cut": trainers.Once,
    "regrow": trainers.Once,
    "gradient": trainers.Once,
    "admits": trainers.Once,
}


class Shared:
    """Kernels that share a set.

    Args:
        constraint: the set.
        slots: list of the kernels' `Slot`s.
        like: another one of the same set and of slots alike, or `None`: where the
            backend allows that, what is compiled for it serves here, too.
    """

    def __init__(self, constraint, slots, like=None):
        self.slots = slots
        self._constraint = constraint
        variables = [variable for slot in slots for variable in slot.variables]
        others = like._programs if like else {}
        self._programs = {
            name: compiled(getattr(self, f"_{name}"), variables, others.get(name))
            for name, compiled in PROGRAMS.items()
        }

    def begin(self, excess):
        """`z <- Pi_S(w)`, `u <- 0`, S keeping `excess` times as much as asked.

        Returns `||w||^2`, a scalar.
        """
        return self._run("begin", *self._run("nearest", excess))

    def update(self, excess):
        """`z <- Pi_S(w + u)`, `u <- u + w - z`; returns what residuals are made of."""
        return self._run("update", *self._run("nearest", excess))

    def settle(self):
        """What the nearest members of the set itself to w + u settle."""
        self._run("settle", *self._run("nearest", 1.0))

    def rescale(self, factor):
        """`u <- factor u`."""
        self._run("rescale", factor)

    def penalty(self, rho):
        """`sum rho/2 ||w - z + u||^2`, a scalar."""
        return self._run("penalty", rho)

    def trim(self):
        """`w <-` the nearest with what z settled."""
        self._run("trim")

    def cut(self):
        """The same, `z <- w`, `u <- 0`; returns whether all w are in the set then."""
        return self._run("cut")

    def regrow(self, excess):
        """Live is what z settled, and more up to `excess` of what the set keeps."""
        self._run("regrow", excess)

    def gradient(self):
        """`(E ||g||^2, ||w||^2)`, without the correction for a young average."""
        return self._run("gradient")

    def admits(self):
        """Whether what z settled is of the set itself, not of a looser one."""
        return self._run("admits")

    def are_finite(self):
        """Whether each w is, and its f, booleans of shape `(slots, 2)`."""
        return self._run("are_finite")

    def error(self):
        """What to raise where `cut` found that they are not in the set."""
        paths = [slot.kernel.path for slot in self.slots]
        counts = [int(ops.sum(ops.cast(slot.w, "bool"))) for slot in self.slots]
        return RuntimeError(
            f"Expected the kernels {paths} to satisfy {self._constraint}. Received: "
            f"{counts} nonzeros."
        )

    # What is compiled.

    def _run(self, name, *arguments):
        return self._programs[name](*arguments)

    def _nearest(self, excess):
        """What the nearest members to w + u settle, in the axis order of each w."""
        vs = [slot.shifted() for slot in self.slots]
        given = [vs]
        if self._constraint.metric != "magnitude":
            # Before the first W-step no curvature is known, and magnitudes count.
            known = [ops.any(slot.f > 0) for slot in self.slots]
            known = functools.reduce(ops.logical_or, known)
            given.append([slot.worth(v, known) for slot, v in zip(self.slots, vs)])
        parts = self._constraint.loosened(excess).settle(*given)
        return [slot.kernel.original(part) for slot, part in zip(self.slots, parts)]

    def _begin(self, *settled):
        for slot, part in zip(self.slots, settled):
            slot.state.settle(part)
            slot.restart()
        return self._size()

    def _size(self):
        return sum(ops.sum(ops.square(slot.value())) for slot in self.slots)

    def _update(self, *settled):
        return sum(slot.update(part) for slot, part in zip(self.slots, settled))

    def _settle(self, *settled):
        for slot, part in zip(self.slots, settled):
            slot.state.settle(part)

    def _rescale(self, factor):
        for slot in self.slots:
            slot.state.rescale(ops.cast(factor, slot.dtype))

    def _penalty(self, rho):
        penalties = [slot.regularizer(slot.w, rho)(slot.w) for slot in self.slots]
        # Kernels may differ in precision.
        return sum(ops.cast(penalty, "float32") for penalty in penalties)

    def _trim(self):
        for slot in self.slots:
            slot.trim()

    def _cut(self):
        for slot in self.slots:
            slot.trim()
            slot.restart()
        ws = [slot.canonical(slot.w) for slot in self.slots]
        return self._constraint.holds(ws, self._settled())

    def _settled(self):
        return [slot.canonical(slot.settled) for slot in self.slots]

    def _regrow(self, excess):
        gradients = [ops.sqrt(slot.canonical(slot.f)) for slot in self.slots]
        loose = self._constraint.loosened(excess)
        for slot, live in zip(self.slots, loose.regrown(self._settled(), gradients)):
            slot.live.assign(ops.cast(slot.kernel.original(live), "bool"))

    def _gradient(self):
        return ops.stack([sum(ops.sum(slot.f) for slot in self.slots), self._size()])

    def _admits(self):
        return self._constraint.admits(self._settled())

    def _are_finite(self):
        return ops.stack([slot.are_finite() for slot in self.slots])
