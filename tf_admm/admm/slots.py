"""What ADMM keeps for all kernels."""

import math

from keras import ops

from tf_admm.admm.shared import Shared
from tf_admm.admm.slot import DECAY
from tf_admm.admm.slot import Slot
from tf_admm.constraints import sharing
from tf_admm.structure import members


class Slots:
    """The slots of a model, to iterate over; what is done to all, set after set.

    Args:
        matched: the `Matched` of `(kernel, constraint)`.
        add_like: that of the model which owns the state.
        measured: whether gradients are measured also where no set asks for it.
        regrown: whether `regrow` will be called.
    """

    def __init__(self, matched, add_like, measured, regrown):
        self._slots = [Slot(*pair, add_like, measured, regrown) for pair in matched]
        self._shared = []
        alike = {}
        for constraint, part in _parts(self._slots):
            key = id(constraint), *(slot.kind for slot in part)
            shared = Shared(constraint, part, alike.get(key))
            alike.setdefault(key, shared)
            self._shared.append(shared)
        self._channel_groups = matched.groups

    def __iter__(self):
        return iter(self._slots)

    def begin(self, excess):
        """`z <- Pi_S(w)`, `u <- 0`, S keeping `excess` times as much as asked.

        Returns `||w||^2`.
        """
        return float(_total([shared.begin(excess) for shared in self._shared]))

    def update(self, excess):
        """`z <- Pi_S(w + u)`, `u <- u + w - z`; returns what residuals are made of."""
        return _total([shared.update(excess) for shared in self._shared])

    def rescale(self, factor):
        """`u <- factor u`."""
        for shared in self._shared:
            shared.rescale(factor)

    def penalty(self, rho):
        """`sum_i rho/2 ||w_i - z_i + u_i||^2`, a float."""
        return float(_total([shared.penalty(rho) for shared in self._shared]))

    def settle(self):
        """What the nearest members of the sets themselves to w + u settle."""
        for shared in self._shared:
            shared.settle()

    def trim(self):
        """`w <-` the nearest with what z settled."""
        for shared in self._shared:
            shared.trim()

    def cut(self):
        """The same, `z <- w`, `u <- 0`.

        Raises:
            RuntimeError: unless all w are in their sets then, zeros exactly.
        """
        for shared in self._shared:
            if not shared.cut():
                raise shared.error()

    def silence(self):
        """Statistics of dead channels `<- 0.0`."""
        for group in self._channel_groups:
            members.silence(group)

    def regrow(self, excess):
        """Live is what z settled, and more up to `excess` of what the sets keep.

        What comes back has the largest squared gradients of the task, and is 0.0.
        """
        for shared in self._shared:
            shared.regrow(excess)

    def pull(self, steps):
        """`sqrt(E ||g||^2) / ||w||`, g measured over so many steps; 0.0 if none."""
        f, size = _total([shared.gradient() for shared in self._shared])
        if not steps or not size:
            return 0.0
        return math.sqrt(f / (1.0 - DECAY**steps) / size)

    def is_settled(self):
        """Whether what z settled is of the sets themselves, not of looser ones."""
        return all([bool(shared.admits()) for shared in self._shared])

    def check_trainable(self):
        """Raise if a w is frozen: u would grow, and w not follow."""
        frozen = [slot.kernel.path for slot in self if not slot.w.trainable]
        if frozen:
            raise ValueError(
                "Expected the kernels that ADMM prunes to be trainable until it has "
                f"ended. Received: {frozen}, which are frozen. Set "
                "`layer.trainable = True` and compile again, or freeze them later."
            )

    def check_finite(self, when, mend):
        """Raise if a w or an f holds NaN or infinity.

        Args:
            when: str, at which time they should not.
            mend: str, what to change.
        """
        found = [shared.are_finite() for shared in self._shared]
        for shared, finite in zip(self._shared, found):
            for slot, (w, f) in zip(shared.slots, ops.convert_to_numpy(finite)):
                if not (w and f):
                    raise ValueError(
                        f"Expected the {'squared gradient of' if w else 'kernel'} "
                        f"'{slot.kernel.path}' to be finite {when}. Received: NaN or "
                        f"infinity in it. The training has diverged: {mend}."
                    )


def _total(parts):
    """The sum of small tensors, as numpy has it; all are waited for at once."""
    return sum(ops.convert_to_numpy(part).astype("float64") for part in parts)


def _parts(slots):
    """`(constraint, slots)` of all that are projected together."""
    for constraint, shared in sharing.together((s, s.constraint) for s in slots):
        for part in [shared] if constraint.coupled else [[slot] for slot in shared]:
            yield constraint, part
