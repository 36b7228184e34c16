"""The regularizer of the W-update."""

from typing import Any

import keras

from tf_admm.admm import updates


class ADMMRegularizer(keras.regularizers.Regularizer):
    """`rho/2 ||w - z + u||_F^2`, the pull of the W-update towards Z - U.

    It is bound to live variables: whatever `z`, `u` and `rho` hold when the
    regularizer is called is what counts, so a change needs no new trace.

    Args:
        z: tensor or variable of the shape of the kernel, the feasible copy of it.
        u: tensor or variable of the shape of the kernel, the scaled dual.
        rho: scalar tensor or variable.

    Reference: Zhang et al., 2018, arXiv:1804.03294, first subproblem.
    """

    def __init__(self, z: Any, u: Any, rho: Any):
        self.z = z
        self.u = u
        self.rho = rho

    def __call__(self, w):
        return updates.penalty(*self._wide(w))

    def gradient(self, w):
        """`rho (w - z + u)`, which the W-update adds to the gradient of the task."""
        return updates.pull(*self._wide(w))

    def _wide(self, w):
        """Everything in the precision of the state."""
        w, rho = (keras.ops.cast(x, self.z.dtype) for x in (w, self.rho))
        return w, self.z, self.u, rho

    def get_config(self):
        raise ValueError(
            "`ADMMRegularizer` is bound to the live variables of an "
            "`ADMMModel` and has no config of its own. Save the `ADMMModel`, "
            "which holds them."
        )
