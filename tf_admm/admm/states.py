"""Z, U and what the last Z-step settled, of one kernel.

There are two kinds, for sets of masks and for sets of values; a set's `disjoint` says
which it needs.
"""

from keras import ops

from tf_admm.admm import trainers
from tf_admm.admm import updates


class Disjoint:
    """Of a set of masks: one tensor, `D = Z - U`, and the mask.

    Z is 0.0 off the index set of the last Z-step, and `U = (W + U) - Z` is 0.0 on it:

        Z = D where kept, else 0.0;    U = -D where not kept, else 0.0.

    The nonzeros of Z go with `W + U` between two Z-steps, so that the W-step pulls only
    what is to be zero.

    Args:
        add: function of a name, an initializer and a dtype, to a variable of the shape
            of the kernel; by default of floats.
        project: function `(w, settled)`, the nearest with what z settled.

    Attributes:
        d: float variable, Z - U.
        settled: boolean variable, `True` on the index set.
        variables: list of these.
    """

    #: A choice by data between two tensors, made entry by entry at no cost.
    either = staticmethod(trainers.either)

    def __init__(self, add, project):
        self.d = add("d", "zeros")
        self.settled = add("settled", "ones", "bool")
        self.variables = [self.d, self.settled]

    @property
    def z(self):
        return self.project(self.d)

    @property
    def u(self):
        return -self._off(self.d)

    def _off(self, x):
        """x, and 0.0 where z is not."""
        x = ops.convert_to_tensor(x)
        return ops.where(self._mask(), ops.cast(0, x.dtype), x)

    def _mask(self):
        return ops.convert_to_tensor(self.settled)

    def settle(self, settled):
        """What the next Z is 0.0 off."""
        self.settled.assign(settled)

    def update(self, w, settled):
        """`z <- Pi_S(w + u)`, `u <- u + w - z`."""
        v = w + self.u
        self.settled.assign(settled)
        self.d.assign(ops.where(self._mask(), v, -v))

    def restart(self, w):
        """`z <- w`, `u <- 0`, of a feasible w."""
        self.d.assign(w)

    def rescale(self, factor):
        """`u <- factor u`."""
        d = ops.convert_to_tensor(self.d)
        self.d.assign(ops.where(self._mask(), d, factor * d))

    def project(self, w):
        """The nearest to w with what z settled."""
        w = ops.convert_to_tensor(w)
        return ops.where(self._mask(), w, ops.cast(0, w.dtype))

    def target(self, w):
        """`(z, u)` of the W-step: w itself where it is kept, else Z - U; and 0.0."""
        w = ops.cast(w, self.d.dtype)
        return ops.where(self._mask(), w, ops.convert_to_tensor(self.d)), 0.0


class Both:
    """Of a set of values: Z and U.

    Args:
        add: function of a name and an initializer, to a float variable of the shape of
            the kernel.
        project: function `(w, settled)`, the nearest with what z settled.

    Attributes:
        z: float variable, Pi_S(w + u) of the last update.
        u: float variable, the scaled dual.
        settled: float variable, the levels or clusters of z.
        variables: list of these.
    """

    #: Only what is chosen runs, since a projection onto few values takes long.
    either = staticmethod(ops.cond)

    def __init__(self, add, project):
        self._project = project
        self.z = add("z", "zeros")
        self.u = add("u", "zeros")
        self.settled = add("settled", "ones")
        self.variables = [self.z, self.u, self.settled]

    def settle(self, settled):
        """What the next Z is made of."""
        self.settled.assign(settled)

    def update(self, w, settled):
        """`z <- Pi_S(w + u)`, `u <- u + w - z`."""
        v = w + self.u
        self.settled.assign(settled)
        self.z.assign(self.project(v))
        self.u.assign(updates.dual_step(v, self.z))

    def restart(self, w):
        """`z <- w`, `u <- 0`, of a feasible w."""
        self.z.assign(w)
        self.u.assign(ops.zeros_like(w))

    def rescale(self, factor):
        """`u <- factor u`."""
        self.u.assign(factor * self.u)

    def project(self, w):
        """The nearest to w with what z settled."""
        return self._project(w, self.settled)

    def target(self, w):
        """`(z, u)` of the W-step."""
        return ops.convert_to_tensor(self.z), ops.convert_to_tensor(self.u)
