"""What is done to the kernels that share a set, compiled."""

import functools

from keras import ops

from tf_admm.admm import trainers


class Shared:
    """Kernels that share a set. Each public function is one compiled function.

    Args:
        constraint: the set.
        slots: list of the kernels' `Slot`s.
    """

    def __init__(self, constraint, slots):
        self.slots = slots
        self._constraint = constraint
        variables = [variable for slot in slots for variable in slot.variables]

        def compiled(function):
            return trainers.Compiled(function, variables)

        def once(function):
            return trainers.Once(function, variables)

        self.update = compiled(self._update)
        self.rescale = compiled(self._rescale)
        self.penalty = compiled(self._penalty)
        self.are_finite = compiled(self._are_finite)
        self.begin = once(self._begin)
        self.settle = once(self._settle)
        self.trim = once(self._trim)
        self.cut = once(self._cut)
        self.regrow = once(self._regrow)
        self.gradient = once(self._gradient)
        self.admits = once(self._admits)

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

    def _begin(self, excess):
        for slot, settled in zip(self.slots, self._nearest(excess)):
            slot.state.settle(settled)
            slot.restart()

    def _update(self, excess):
        parts = self._nearest(excess)
        return sum(slot.update(part) for slot, part in zip(self.slots, parts))

    def _rescale(self, factor):
        for slot in self.slots:
            slot.state.rescale(ops.cast(factor, slot.dtype))

    def _penalty(self, rho):
        penalties = [slot.regularizer(rho)(slot.w) for slot in self.slots]
        # Kernels may differ in precision.
        return sum(ops.cast(penalty, "float32") for penalty in penalties)

    def _settle(self, excess):
        for slot, settled in zip(self.slots, self._nearest(excess)):
            slot.state.settle(settled)

    def _trim(self):
        for slot in self.slots:
            slot.trim()

    def _cut(self):
        """Whether all w are in the set after it."""
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
        """`(E ||g||^2, ||w||^2)`, without the correction for a young average."""
        return sum(
            ops.stack([ops.sum(slot.f), ops.sum(ops.square(slot.value()))])
            for slot in self.slots
        )

    def _admits(self):
        return self._constraint.admits(self._settled())

    def _are_finite(self):
        return ops.stack([slot.are_finite() for slot in self.slots])

    def error(self):
        """What to raise where `cut` found that they are not in the set."""
        paths = [slot.kernel.path for slot in self.slots]
        counts = [int(ops.count_nonzero(slot.w)) for slot in self.slots]
        return RuntimeError(
            f"Expected the kernels {paths} to satisfy {self._constraint}. Received: "
            f"{counts} nonzeros."
        )
