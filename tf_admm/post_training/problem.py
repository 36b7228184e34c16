"""One layer as a problem of least squares.

    min_V ||X_0 W_0 - X V||_F^2 + damping ||W_0 - V||_F^2
        = <W - V, G (W - V)> + constant,

V in a set, W_0 the trained kernel, X_0 what the layer read in the trained model and X
what it reads in the pruned one; G = X^T X + damping, and
W = G^-1 (X^T X_0 + damping) W_0, which makes up for what the layers before it have
lost. Kernels of several groups of channels are as many such problems, side by side.

The nearest member Z to W_0 has the least ||W_0 - V||: what loses no more than Z, loses
no more without the damping either.
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
        trained: tensor like its variable, the trained kernel W_0.
        gram: array `(groups, inputs, inputs)`, X^T X of each group.
        cross: array like it, X^T X_0.

    Attributes:
        gram: G, divided by the mean of its diagonal.
        trained: array `(groups, inputs, outputs)`, W_0.
        w: array like it, W.
        scales: array `(groups, inputs, 1)`, the root of the diagonal: how large each
            input is.
    """

    def __init__(self, kernel, trained, gram, cross):
        self._kernel = kernel
        self._groups, inputs, _ = gram.shape
        mean = np.einsum("gii->", gram) / (self._groups * inputs)
        damping = DAMPING * np.eye(inputs, dtype=gram.dtype)
        gram, cross = (x / (mean if mean > 0 else 1.0) + damping for x in (gram, cross))
        self.gram = gram
        self.trained = self.split(trained)
        self.w = np.linalg.solve(gram, cross @ self.trained)
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

    def worths(self):
        """What the outputs miss without some weights, as squares to add up: a list.

        Of single weights, and of sums over them, `G_ii w_io^2`: exact for one weight.
        And these times a factor for each output, for which they add up to
        `w_o^T G w_o`: exact where whole outputs are taken out.
        """
        alone = self.scales * self.w
        whole = np.sum(self.w * (self.gram @ self.w), axis=1, keepdims=True)
        apart = np.sum(alone**2, axis=1, keepdims=True)
        factor = np.maximum(whole, 0) / np.where(apart > 0, apart, 1)
        return [alone, np.sqrt(factor) * alone]

    def loss(self, v):
        """`<W - V, G (W - V)> / <W, G W>`, a float."""
        size = self.energy(self.w)
        return self.energy(self.w - v) / size if size > 0 else 0.0

    def energy(self, v):
        """`<V, G V>`, a float."""
        return float(np.vdot(v, self.gram @ v))


def numbers(x):
    """What a layer is called on as a float32 array, or `None`.

    It has no numbers inside of the loops of JAX, and of what else is traced.
    """
    if not ops.is_tensor(x):
        return None
    try:
        return np.asarray(ops.convert_to_numpy(x), "float32")
    except (NotImplementedError, TypeError):
        return None


def is_solvable(kernel, calls):
    """Whether a layer multiplies rows of all that it was called on by its kernel.

    Args:
        kernel: the `Kernel`.
        calls: list of what `numbers` returned.
    """
    return bool(calls) and all(
        x is not None and kinds.rows(kernel, x[:1]) is not None for x in calls
    )


@np.errstate(invalid="ignore", over="ignore")
def products(kernel, calls, trained):
    """`(X^T X, X^T X_0)` over all calls, each `(groups, inputs, inputs)`.

    Args:
        kernel: the `Kernel`.
        calls: list of arrays, what its layer is called on in the pruned model.
        trained: the same in the trained model.

    Raises:
        ValueError: if they are not finite.
    """
    gram = cross = 0.0
    for x, x_0 in zip(calls, trained, strict=True):
        for part, part_0 in zip(_parts(x), _parts(x_0)):
            rows = kinds.rows(kernel, part)
            turned = rows.transpose(0, 2, 1)
            gram = gram + turned @ rows
            cross = cross + turned @ kinds.rows(kernel, part_0)
    if not (np.isfinite(gram).all() and np.isfinite(cross).all()):
        raise ValueError(
            f"Expected the layer of '{kernel.path}' to be called on numbers with "
            "squares that are finite in float32. Received: NaN, infinity or too large"
        )
    return gram, cross


def _parts(x):
    """A few samples at a time, since patches hold each number many times."""
    step = max(1, CHUNK * len(x) // max(1, 9 * x.size))
    return (x[i : i + step] for i in range(0, len(x), step))
