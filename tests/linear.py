"""ADMM of one linear layer in NumPy, step by step: what `fit` must do, by hand.

The loss is the mean squared error, the optimizer SGD with momentum, the set the
largest magnitudes, or the largest `|v| sqrt(f)`.
"""

import numpy as np
from battery import largest


class Linear:
    """`y = x w`, pruned by the formulas of the paper.

    Args:
        w: the first kernel, an array.
        kept: int, the nonzeros.
        rho: float.
        rate, momentum: floats, of SGD.
        curvature: bool, whether the mask is of `|v| sqrt(f)`.
        regrowth: float, how much of the budget a round gives back.
    """

    def __init__(self, w, kept, rho, rate, momentum, curvature, regrowth):
        self.w = w.astype("float64")
        self.kept, self.rho, self.curvature = kept, rho, curvature
        self.rate, self.momentum, self.regrowth = rate, momentum, regrowth
        self.speed = np.zeros_like(self.w)
        self.f = np.zeros_like(self.w)
        self.live = np.ones(w.shape, bool)
        self.retraining = False
        self.begin()

    def begin(self):
        self.u = np.zeros_like(self.w)
        self.mask = self.nearest()
        self.z = np.where(self.mask, self.w, 0)
        self.steps = 0

    def nearest(self):
        v = self.w + self.u
        known = self.curvature and self.f.any()
        return largest(v * np.sqrt(self.f) if known else v, self.kept)

    def step(self, x, y):
        g = 2 / y.size * x.T @ (x @ self.w - y)
        if self.retraining:
            g = np.where(self.mask, g, 0)
        else:
            self.f = 0.999 * self.f + 0.001 * g**2
            # What is kept trains freely: there Z goes with W + U.
            g = g + self.rho * np.where(self.mask, 0, self.w + self.u)
        allowed = self.mask if self.retraining else self.live
        self.speed = self.momentum * self.speed - self.rate * np.where(allowed, g, 0)
        self.w = np.where(allowed, self.w + self.speed, 0)
        self.steps += 1

    def update(self):
        v = self.w + self.u
        self.mask = self.nearest()
        self.z = np.where(self.mask, v, 0)
        self.u = self.u + self.w - self.z
        self.steps = 0

    def cut(self):
        """What the weights would be if ADMM ended now, and the mask."""
        again = self.steps and not self.retraining
        mask = self.nearest() if again else self.mask
        return np.where(mask, self.w, 0), mask

    def regrow(self):
        self.w, self.mask = self.cut()
        back = np.where(self.mask, np.inf, self.f)
        self.live = largest(back, round((1 + self.regrowth) * self.kept))
        self.begin()

    def finalize(self):
        self.w, self.mask = self.cut()
        self.speed = np.zeros_like(self.w)
        self.retraining = True
