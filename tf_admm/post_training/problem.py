"""One layer as a problem of least squares.

    min_V ||X_0 W_0 - X V||_F^2 = <W - V, G (W - V)> + constant,

V in a set, W_0 the trained kernel, X_0 what the layer read in the trained model and X
what it reads in the pruned one; G = X^T X, and W = G^-1 X^T X_0 W_0, which makes up for
what the layers before it have lost. Kernels of several groups of channels are as many
such problems, side by side.
"""

import numpy as np
from keras import ops

from tf_admm.structure import kinds

#: Added to G, over the mean of its diagonal, so that inputs never seen count a little.
DAMPING = 1e-2
#: Rows that are multiplied at once.
CHUNK = 2**22


class Problem:
    """A kernel and what it is multiplied with.

    Args:
        kernel: the `Kernel`.
        w: tensor like its variable, the trained kernel W_0.
        gram: array `(groups, inputs, inputs)`, G of each group.
        cross: array like it, X^T X_0.

    Attributes:
        gram: G damped, and divided by the mean of its diagonal.
        w: array `(groups, inputs, outputs)`, W.
        scales: array `(groups, inputs, 1)`, the root of the diagonal: how large each
            input is.
    """

    def __init__(self, kernel, w, gram, cross):
        self._kernel = kernel
        self._groups, inputs, _ = gram.shape
        mean = np.einsum("gii->", gram) / (self._groups * inputs)
        damping = DAMPING * np.eye(inputs, dtype=gram.dtype)
        gram, cross = (x / (mean if mean > 0 else 1.0) + damping for x in (gram, cross))
        self.gram = gram
        self.w = np.linalg.solve(gram, cross @ self.split(w))
        self.scales = np.sqrt(np.einsum("gii->gi", self.gram))[..., None]

    def split(self, x):
        """A tensor like the variable as an array `(groups, inputs, outputs)`."""
        x = np.asarray(ops.convert_to_numpy(self._kernel.canonical(x)), "float32")
        x = x.reshape(-1, self._groups, x.shape[-1] // self._groups)
        return x.transpose(1, 0, 2)

    def joined(self, x):
        """The inverse: a float32 tensor like the variable."""
        x = x.transpose(1, 0, 2).reshape(self._kernel.shape)
        return self._kernel.original(ops.convert_to_tensor(x.astype("float32")))

    def loss(self, v):
        """`||X (W - V)||^2 / ||X W||^2`, a float."""
        size = self.energy(self.w)
        return self.energy(self.w - v) / size if size > 0 else 0.0

    def energy(self, v):
        """`||X V||^2`, up to the scale of G."""
        return float(np.vdot(v, self.gram @ v))


def products(kernel, calls, trained):
    """`(X^T X, X^T X_0)` over all calls, each `(groups, inputs, inputs)`, or `None`.

    Args:
        kernel: the `Kernel`.
        calls: list of tensors, what its layer is called on in the pruned model.
        trained: the same in the trained model.
    """
    gram = cross = 0.0
    for x, x_0 in zip(calls, trained, strict=True):
        for part, part_0 in zip(_parts(x), _parts(x_0)):
            rows = kinds.rows(kernel, part)
            if rows is None:
                return None
            turned = rows.transpose(0, 2, 1)
            gram = gram + turned @ rows
            cross = cross + turned @ kinds.rows(kernel, part_0)
    return gram, cross


def _parts(x):
    """A few samples at a time, since patches hold each number many times."""
    x = np.asarray(ops.convert_to_numpy(x), "float32")
    step = max(1, CHUNK * len(x) // max(1, 9 * x.size))
    return (x[i : i + step] for i in range(0, len(x), step))
