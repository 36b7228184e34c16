"""The three kinds of sets, each with the holes that a new set fills."""

import copy
import functools
import reprlib

import keras
from keras import ops

from tf_admm import arguments


class SetConstraint(keras.constraints.Constraint):
    """Base of the sets.

    A projection first settles what is combinatorial: the mask, the levels or
    the clusters of the nearest member, a tensor of the kernel's shape. The
    members that share it are a linear subspace, in which retraining stays:

        Pi_S(w) = restrict(w, settle(w)).
    """

    #: Whether of two kernels that share it one must read what the other puts out.
    adjacent = False
    #: Whether what is kept of one kernel that shares it depends on the others.
    coupled = True
    #: Whether a member is itself on an index set, and 0.0 elsewhere: then Z and U of
    #: ADMM have disjoint supports.
    disjoint = False
    #: What a weight is worth to it, as `tf_admm.constraints.metrics` has it.
    metric = "magnitude"

    def check(self, shapes):
        """Raise if no kernels of these shapes can be in the set.

        Args:
            shapes: list of tuples, of the kernels that share this constraint.
        """

    def loosened(self, excess):
        """A set like it that keeps so many times as much, as far as there is.

        Itself where that makes no sense: of few values, or n of m.

        Args:
            excess: float, or scalar tensor; no less is kept below 1.0.
        """
        return self

    def admits(self, settled):
        """Whether a list of settled parts is of this set, not of a loosened one."""
        return True

    def settle(self, ws, worths=None):
        """The settled part of the nearest members of kernels that share the set.

        Args:
            ws: list of float tensors.
            worths: list of tensors like them, `w sqrt(s)` in the norm of the metric;
                by default as for s = 1.

        Returns:
            List of tensors of the shapes of `ws`: booleans of masks, or else of the
            dtypes of `ws`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `settle(ws)`.")

    def regrown(self, settled, gradients):
        """Where kernels may be nonzero again: of sets of values, everywhere.

        Args:
            settled: list of tensors, the settled parts of what is kept.
            gradients: list of tensors like them, what a weight that comes back is
                worth.
        """
        return [ops.ones_like(part) for part in settled]

    def restrict(self, w, settled):
        """The nearest tensor with the same settled part: what retraining does.

        Linear in `w`, and so right for weights and for their gradients.

        Args:
            w: a kernel, or its gradient.
            settled: tensor of the shape of `w`, as `settle` returns it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `restrict(w, settled)`."
        )

    def holds(self, ws, settled):
        """Whether kernels with these settled parts are in the set, a boolean tensor."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `holds(ws, settled)`."
        )

    def __call__(self, w):
        w = ops.convert_to_tensor(w)
        self.check([tuple(w.shape)])
        (settled,) = self.settle([w])
        return self.restrict(w, settled)

    def arguments(self):
        """What it prints and is compared by: its config, sets in it as objects."""
        return self.get_config()

    def __repr__(self):
        values = {name: _short(value) for name, value in self.arguments().items()}
        others = [f"{name}={value}" for name, value in values.items()][1:]
        shown = [*values.values()][:1] + others
        return f"{type(self).__name__}({', '.join(shown)})"


class MaskConstraint(SetConstraint):
    """Base of the sets whose members are zero outside of some index set.

    A subclass implements `mask(w)`, the index set of the nearest member. Then
    `Pi_S(w) = w * mask(w)`. One that couples kernels implements `masks(ws)`.

    Attributes:
        metric: what a weight is worth: `"magnitude"`; or `"curvature"`, what the loss
            would miss, by the squared gradient that ADMM measures as it trains; or a
            function `(v, f)` to the weights of the norm
            (`tf_admm.constraints.metrics`).
        excess: scalar tensor, what is kept over what the set keeps, in the sets that
            `loosened` makes; else `None`.
    """

    disjoint = True
    excess = None

    def loosened(self, excess):
        loose = copy.copy(self)
        loose.excess = excess
        return loose

    def admits(self, settled):
        return self.holds(settled, settled)

    def budget(self, asked, units):
        """How many of so many units are kept where so many are asked for.

        Returns:
            `asked` itself, an int; in a loosened set an integer tensor, so that one
            compiled projection serves a budget that changes.
        """
        if self.excess is None:
            return asked
        more = ops.round(ops.cast(self.excess, "float32") * asked)
        more = ops.minimum(ops.cast(ops.minimum(more, units), "int32"), units)
        return ops.where(self.excess > 1, more, asked)

    def mask(self, w):
        """Index set of the nearest member.

        Args:
            w: float tensor, a kernel in Keras' axis order.

        Returns:
            Boolean tensor of the shape of `w`, `True` where `w` is kept.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `mask(w)`.")

    def masks(self, ws):
        """The masks of kernels that share the set."""
        return [self.mask(w) for w in ws]

    def settle(self, ws, worths=None):
        return self.masks(ws if worths is None else worths)

    def regrown(self, settled, gradients):
        """What is kept, and where the gradients are largest, as far as the set goes."""
        most = functools.reduce(ops.maximum, [ops.max(g) for g in gradients])
        most = ops.where(most > 0, 1e3 * most, 1)
        return self.settle(
            [ops.where(_nonzero(s), most, g) for s, g in zip(settled, gradients)]
        )

    def holds(self, ws, settled):
        """Whether the nearest members of their zeros and ones are these themselves.

        Which weights are zero is all that matters, and small ones beside large
        ones are zero to a norm.
        """
        nonzero = [_nonzero(w) for w in ws]
        masks = self.masks([ops.cast(support, "float32") for support in nonzero])
        return _all(
            ops.all(ops.logical_or(mask, ops.logical_not(support)))
            for mask, support in zip(masks, nonzero)
        )

    def restrict(self, w, settled):
        """`w * settled`, with 0.0 also where `w` is not finite."""
        w = ops.convert_to_tensor(w)
        return ops.where(_nonzero(settled), w, ops.cast(0, w.dtype))


class ValueConstraint(SetConstraint):
    """Base of the sets whose members have few distinct values.

    A subclass implements `codes(w, among)` and `restrict(w, codes)`.
    """

    coupled = False

    def codes(self, w, among):
        """Which of the values each entry of the nearest member has.

        Args:
            w: float tensor.
            among: boolean tensor of its shape; other entries are no part of
                the set's business, and get the code 0.0, which stands for 0.0.

        Returns:
            Float tensor of the shape of `w`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement `codes(w, among)`."
        )

    def holds(self, ws, settled):
        """Whether each is its own restriction, up to the rounding of a scale or mean.

        Not its own projection, which among millions of weights is near the best only.
        """
        return _all(_near(w, self.restrict(w, codes)) for w, codes in zip(ws, settled))

    def settle(self, ws, worths=None):
        return [self.codes(w, ops.ones_like(w, dtype="bool")) for w in ws]


class _Short(reprlib.Repr):
    """Lists of many levels or patterns are cut, and so are digits of rates."""

    def __init__(self):
        super().__init__()
        self.maxlist, self.maxlevel, self.maxother = 7, 1, 200

    def repr_float(self, value, level):
        return f"{value:.6g}"


_short = _Short().repr


def _near(w, restricted):
    """Whether two tensors agree but for rounding, and zeros are zeros."""
    zeros = ops.all(ops.logical_or(restricted != 0, w == 0))
    low = keras.backend.standardize_dtype(w.dtype) in ("float16", "bfloat16")
    tolerance = 1e-2 if low else 1e-5
    near = ops.max(ops.abs(w - restricted)) <= tolerance * ops.max(ops.abs(w))
    return ops.logical_and(zeros, near)


def _nonzero(x):
    return ops.cast(x, "bool")


def _all(booleans):
    return functools.reduce(ops.logical_and, booleans)


def kept(total, sparsity):
    """How many of `total` are kept: the rest that sparsity leaves, an int."""
    return total - round(sparsity * total)


def fraction(name, value):
    """`value` as a float in [0, 1], or an error."""
    if not arguments.is_real(value) or not 0.0 <= value <= 1.0:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a number in "
            f"[0, 1], the fraction of zeros. Received: {name}={value!r}"
        )
    return float(value)


def positive(name, value):
    """`value` as a positive int, or an error."""
    if not arguments.is_whole(value) or value < 1:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a positive integer. "
            f"Received: {name}={value!r}"
        )
    return int(value)


def wide(w):
    """`w` in float32, or in its own precision if that is higher."""
    return ops.cast(w, keras.backend.result_type(w.dtype, "float32"))


def widest(x):
    """x in float64; in float32 on JAX, which has no wider floats unless told so."""
    return x if keras.config.backend() == "jax" else ops.cast(x, "float64")
