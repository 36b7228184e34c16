"""What is pruned: single weights, or whole channels."""

import numpy as np

from tf_admm.admm.model import ADMMModel
from tf_admm.allocation import allocate
from tf_admm.constraints import GlobalSparsity
from tf_admm.reporting import variants
from tf_admm.shrinking import shrink
from tf_admm.structure import kernels
from tf_admm.structure import selectors

#: Channels that LiteRT's kernels compute together on x86; a multiple of ARM's tiles.
TILE = 16
#: Below it, nothing is tried.
LEAST = 1e-4


class Weights:
    """Single weights; kernels compete for what is kept, by what the loss would miss.

    Embeddings are among them, and trainable weights of layers of one's own.

    Args:
        model: the dense model, of which sizes are shares.
        samples: inputs of some rows, in the structure of the model's.

    Attributes:
        noun, unit: what a share is a share of, and as a share is worded.
        factor, fineness: of `search.following`.
        patience: the share of `max_drop`, and of the time, that may be used up.
        why: what is said of a model that is good enough but for that.
        total: what there is of the unit in the dense model.
        floor: the share that stays in any case.
    """

    noun, unit = "weights", "weights left"
    factor, fineness, patience, why = 4.0, 1.2, 1.0, ""

    def __init__(self, model, samples):
        self._samples = samples
        found = kernels.find(model)
        self.total = sum(kernel.size for kernel in found)
        self.floor = _nonzeros(_apart(found)[1]) / self.total

    def left(self, model):
        """The share that a model, smaller or with zeros, has of the dense one."""
        return _nonzeros(kernels.find(model)) / self.total

    def constraints(self, model, share, metric="curvature"):
        """Of a model that may be smaller already, or have zeros.

        Raises:
            ValueError: if what isn't trained, and one weight of each other kernel, are
                more.
        """
        free, others = _apart(kernels.find(model))
        fixed = _nonzeros(others)
        kept = share * self.total - fixed
        if round(kept) < len(free):
            also = f", and all of {selectors.listing(others)}" if others else ""
            raise ValueError(
                "Expected a goal that can be met: a ratio of at most "
                f"{self.total / (fixed + len(free)):.4g}, since one weight of each "
                f"kernel stays{also}. Received: ratio={1 / share:g}"
            )
        size = sum(kernel.size for kernel in free)
        together = GlobalSparsity(1.0 - min(1.0, kept / size), metric=metric)
        if not any(kernel.by_name_only for kernel in free):
            return together
        # Embeddings and the like only by their names.
        return {kernel.path: together for kernel in free}

    def going_on(self, model):
        """What the next stage begins with: zeros may come back."""
        return model

    def finished(self, model):
        """Without the units that are dead."""
        return shrink(model, self._samples, verbose=0)[0]


class Channels:
    """Whole channels, about the same share of each group; what is left is made smaller.

    Args and attributes as those of `Weights`.
    """

    noun, unit = "multiplications", "multiplications left"
    factor, fineness, patience, why = 2.0, 1.1, 1.0, ""
    floor = 0.0

    def __init__(self, model, samples):
        self._samples = samples
        self.total = variants.macs(model, samples, zeros=True)

    def left(self, model):
        return variants.macs(model, self._samples, zeros=True) / self.total

    def constraints(self, model, share, metric=None):
        """Of a model that may be smaller already."""
        return allocate(
            model,
            # A share of what there is, since the smallest budgets would be read as one.
            macs=share / self.left(model),
            structure="channels",
            method="uniform",
            tile=TILE,
            samples=self._samples,
            verbose=0,
        )

    def going_on(self, model):
        return shrink(model, self._samples, verbose=0)[0]

    def finished(self, model):
        return model


class FewChannels(Channels):
    """Channels before weights: roughly, and leaving room for the weights to come."""

    fineness, patience, why = 1.5, 0.5, "channels may cost half of that"


def _apart(found):
    """Kernels that are trained, and those that are not."""
    free = [kernel for kernel in found if kernel.variable.trainable]
    return free, [kernel for kernel in found if not kernel.variable.trainable]


def _nonzeros(found):
    return sum(int(np.count_nonzero(np.array(k.variable))) for k in found)


def pruned_at_once(model, family, share):
    """A model cut by magnitude, without training: what `share` comes to, as a size.

    The model is changed.
    """
    if share < 1.0:
        ADMMModel(model, family.constraints(model, share, "magnitude"), 0.0).finalize()
    return family.finished(family.going_on(model))
