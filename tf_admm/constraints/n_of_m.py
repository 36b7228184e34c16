"""N:M sparsity."""

from collections.abc import Callable

import keras
from keras import ops

from tf_admm import arguments
from tf_admm.constraints import metrics
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
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if n or m is no positive integer, or m < n; when called, if
            the kernel has no such axis, or m does not divide its size.

    Example:

    >>> two_of_four = tf_admm.constraints.NMSparsity(2, 4, axis=0)
    >>> np.array(two_of_four(np.array([1.0, -3.0, 2.0, 0.5]))).tolist()
    [0.0, -3.0, 2.0, 0.0]
    """

    coupled = False

    def __init__(
        self, n: int, m: int, axis: int = -2, metric: str | Callable = "magnitude"
    ):
        self.n = positive("n", n)
        self.m = positive("m", m)
        if self.m < self.n:
            raise ValueError(
                "Invalid value for argument `n`. Expected at most `m`. Received: "
                f"n={n}, m={m}"
            )
        if not arguments.is_whole(axis):
            raise ValueError(
                "Invalid value for argument `axis`. Expected an integer. "
                f"Received: axis={axis}"
            )
        self.axis = int(axis)
        self.metric = metrics.get(metric)

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
        size = ops.abs(ops.reshape(w, split))
        return ops.reshape(self._before(size, axis + 1) < self.n, w.shape)

    def _before(self, size, axis):
        """How many of its group come before each member; the first do under ties."""
        dtype = "int8" if self.m <= 128 else "int32"
        total = ops.zeros_like(size, dtype=dtype)
        for i in range(self.m):
            # One by one, so that no tensor of pairs is held.
            one = ops.take(size, [i], axis=axis)
            earlier, itself, _ = ops.split(one > size, [i, i + 1], axis)
            *_, later = ops.split(one >= size, [i, i + 1], axis)
            comes = ops.concatenate([earlier, itself, later], axis)
            total = total + ops.cast(comes, dtype)
        return total

    def get_config(self):
        config = {"n": self.n, "m": self.m, "axis": self.axis}
        return {**config, **metrics.config(self.metric)}
