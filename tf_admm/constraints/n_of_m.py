"""N:M sparsity."""

import numbers

import keras
from keras import ops

from tf_admm.constraints.base import MaskConstraint
from tf_admm.constraints.base import positive


@keras.saving.register_keras_serializable(package="tf_admm")
class NMSparsity(MaskConstraint):
    """At most n nonzeros among each m consecutive weights along an axis.

    The projection keeps the n of largest magnitude in each group; of equal
    magnitudes, the first.

    Args:
        n: int in [1, m], the weights kept of a group.
        m: int, positive, the size of a group.
        axis: int, in Keras' axis order; -2, the inputs, by default, as the
            sparse kernels of GPUs and tfmot have it.

    Raises:
        ValueError: if n or m is no positive integer, or m < n; when called, if
            the kernel has no such axis, or m does not divide its size.

    Example:

    >>> tf_admm.constraints.NMSparsity(2, 4, axis=0)(np.array([1.0, -3.0, 2.0, 0.5]))
    [0., -3., 2., 0.]
    """

    def __init__(self, n, m, axis=-2):
        self.n = positive("n", n)
        self.m = positive("m", m)
        if self.m < self.n:
            raise ValueError(
                "Invalid value for argument `n`. Expected at most `m`. Received: "
                f"n={n}, m={m}"
            )
        if not isinstance(axis, numbers.Integral):
            raise ValueError(
                "Invalid value for argument `axis`. Expected an integer. "
                f"Received: axis={axis}"
            )
        self.axis = int(axis)

    def check(self, shapes):
        for shape in shapes:
            rank = len(shape)
            if not -rank <= self.axis < rank or shape[self.axis] % self.m:
                raise ValueError(
                    f"Expected a kernel whose axis {self.axis} has a size that "
                    f"m={self.m} divides. Received: a kernel of shape {shape}"
                )

    def mask(self, w):
        w = ops.convert_to_tensor(w)
        axis = self.axis % len(w.shape)
        split = (*w.shape[:axis], -1, self.m, *w.shape[axis + 1 :])
        groups = ops.reshape(w, split)
        # One by one, so that no tensor of magnitudes is held beside its parts.
        members = [ops.abs(ops.take(groups, [i], axis=axis + 1)) for i in range(self.m)]
        kept = [self._kept(i, members) for i in range(self.m)]
        return ops.reshape(ops.concatenate(kept, axis=axis + 1), w.shape)

    def _kept(self, i, members):
        """Whether fewer than n of a group come before member i."""
        dtype = "int8" if self.m <= 128 else "int32"
        before = [
            ops.cast(other >= members[i] if j < i else other > members[i], dtype)
            for j, other in enumerate(members)
            if j != i
        ]
        return sum(before, ops.zeros_like(members[i], dtype=dtype)) < self.n

    def get_config(self):
        return {"n": self.n, "m": self.m, "axis": self.axis}
