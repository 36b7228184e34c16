"""The sets S_i of the constraint W_i in S_i, each with its projection.

A set is a `keras.constraints.Constraint`: calling it returns the nearest
member,

    Pi_S(w) = argmin_{v in S} ||v - w||_F.

A sparsity pattern fills one hole, `mask(w)`.
"""

import numbers

import keras
from keras import ops


class MaskConstraint(keras.constraints.Constraint):
    """Base of the sets whose members are zero outside of some index set.

    A subclass implements `mask(w)`, the index set of the nearest member. Then
    `Pi_S(w) = w * mask(w)`.
    """

    def mask(self, w):
        """Index set of the nearest member.

        Args:
            w: float tensor, a kernel in Keras' axis order.

        Returns:
            Boolean tensor of the shape of `w`, `True` where `w` is kept.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `mask(w)`.")

    def __call__(self, w):
        w = ops.convert_to_tensor(w)
        return ops.where(self.mask(w), w, ops.zeros_like(w))

    def restrict(self, w, frozen):
        """What retraining may make of `w`: `w * frozen`.

        Args:
            w: a kernel, or its gradient.
            frozen: tensor of ones and zeros, of the shape of `w`.
        """
        return w * ops.cast(frozen, w.dtype)


@keras.saving.register_keras_serializable(package="tf_admm")
class Sparsity(MaskConstraint):
    """Unstructured sparsity: at most `l = n - round(sparsity * n)` nonzeros.

        S = {v : card(v) <= l},  n = size of the kernel.

    The projection keeps the `l` entries of largest magnitude; of equal
    magnitudes, those that come first in row-major order. Exactly `l` entries
    are kept, also where some of them are 0.0.

    Args:
        sparsity: float in [0, 1], the fraction of zeros.

    Raises:
        ValueError: if `sparsity` is not a number in [0, 1].

    Example:

    >>> tf_admm.constraints.Sparsity(0.5)(np.array([1.0, -3.0, 2.0, 0.5]))
    [0., -3., 2., 0.]

    Reference: Zhang et al., 2018, arXiv:1804.03294, section 3.
    """

    def __init__(self, sparsity):
        self.sparsity = _fraction(sparsity)

    def kept(self, size):
        """The number `l` of entries kept in a kernel of `size` entries."""
        return size - round(self.sparsity * size)

    def mask(self, w):
        w = ops.convert_to_tensor(w)
        flat = ops.reshape(w, (-1,))
        return ops.reshape(largest(flat, self.kept(flat.shape[0])), w.shape)

    def get_config(self):
        return {"sparsity": self.sparsity}


def largest(x, k):
    """Mask of the `k` entries of largest magnitude, exactly `k` under ties.

    The `k`-th magnitude is found by bisection on the bit pattern: the patterns
    of non-negative floats are ordered as the floats are, so the threshold is
    built bit by bit from the highest, each time counting what lies above. That
    is one pass over `x` a bit on any backend, several times faster than
    sorting.

    Args:
        x: float tensor of shape `(n,)`.
        k: int in [0, n].

    Returns:
        Boolean tensor of shape `(n,)`. Of equal magnitudes, the first are
        kept. NaN ranks above infinity.
    """
    x = ops.convert_to_tensor(x)
    if k == 0:
        return ops.zeros_like(x, dtype="bool")
    dtype = keras.backend.standardize_dtype(x.dtype)
    integer, top = ("int64", 62) if dtype == "float64" else ("int32", 30)
    x = ops.cast(x, "float64" if dtype == "float64" else "float32")
    magnitude = ops.bitwise_and(
        ops.view(x, dtype=integer), ops.cast(2 ** (top + 1) - 1, integer)
    )
    threshold = ops.zeros((), dtype=integer)
    for bit in reversed(range(top + 1)):
        candidate = threshold + ops.cast(2**bit, integer)
        threshold = ops.where(_count(magnitude >= candidate) >= k, candidate, threshold)
    above = magnitude > threshold
    ties = magnitude == threshold
    rank = ops.cumsum(ops.cast(ties, "int32"))
    return ops.logical_or(above, ops.logical_and(ties, rank <= k - _count(above)))


def _count(mask):
    return ops.sum(ops.cast(mask, "int32"))


def _fraction(value):
    if not isinstance(value, numbers.Real) or not 0.0 <= value <= 1.0:
        raise ValueError(
            "Invalid value for argument `sparsity`. Expected a number in "
            f"[0, 1], the fraction of zeros. Received: sparsity={value}"
        )
    return float(value)
