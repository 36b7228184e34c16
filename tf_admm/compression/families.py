"""What is pruned: single weights, or whole channels."""

from tf_admm.admm.model import ADMMModel
from tf_admm.allocation import allocate
from tf_admm.constraints import GlobalSparsity
from tf_admm.reporting import variants
from tf_admm.shrinking import shrink

#: Below it, nothing is tried.
LEAST = 1e-4


class Weights:
    """Single weights; kernels compete for what is kept, by what the loss would miss.

    Attributes:
        noun, unit: what a share is a share of, and as a share is worded.
        factor, fineness: of `search.following`.
        total: what there is of the unit; only shares of it count here.
    """

    noun, unit = "weights", "weights kept"
    factor, fineness = 4.0, 1.2
    total = 1.0

    def __init__(self, model, samples):
        self._samples = samples

    def constraints(self, model, share, metric="curvature"):
        """Of a model that has all of its weights, or zeros among them."""
        return GlobalSparsity(1.0 - share, metric=metric)

    def going_on(self, model):
        """What the next stage begins with: zeros may come back."""
        return model

    def finished(self, model):
        """Without the units that are dead."""
        return shrink(model, self._samples, verbose=0)[0]


class Channels:
    """Whole channels, the same share of each group; what is left is made smaller."""

    noun, unit = "multiplications", "multiplications left"
    factor, fineness = 2.0, 1.1

    def __init__(self, model, samples):
        self._samples = samples
        self.total = variants.macs(model, samples, zeros=True)

    def constraints(self, model, share, metric=None):
        """Of a model that may be smaller already."""
        return allocate(
            model,
            macs=share * self.total,
            structure="channels",
            method="uniform",
            samples=self._samples,
            verbose=0,
        )

    def going_on(self, model):
        return shrink(model, self._samples, verbose=0)[0]

    def finished(self, model):
        return model


def pruned_at_once(model, family, share):
    """A model cut by magnitude, without training: what `share` comes to, as a size.

    The model is changed.
    """
    if share < 1.0:
        ADMMModel(model, family.constraints(model, share, "magnitude"), 0.0).finalize()
    return family.finished(family.going_on(model))
