"""Sparsity of single weights and of blocks, filters, channels, columns."""

import math
from collections.abc import Callable

import keras
from keras import ops

from tf_admm.constraints import metrics
from tf_admm.constraints import selection
from tf_admm.constraints.base import MaskConstraint
from tf_admm.constraints.base import fraction
from tf_admm.constraints.base import kept
from tf_admm.constraints.base import positive


class RateConstraint(MaskConstraint):
    """Base of the sets with a fraction of zero blocks, all of one shape.

        S = {v : at most l = n - round(sparsity * n) blocks are nonzero},

    n = number of blocks. The projection keeps the `l` blocks of largest norm; of
    equal norms, those that come first in row-major order. Exactly `l` blocks
    are kept, also where some of them are 0.0. Where the size of a block does not
    divide that of the kernel, the last blocks along that axis are smaller, and
    count as one each.

    A subclass implements `unit(shape)`.
    """

    coupled = False

    def __init__(self, sparsity: float, metric: str | Callable = "magnitude"):
        self.sparsity = fraction("sparsity", sparsity)
        self.metric = metrics.get(metric)

    def unit(self, shape):
        """The shape of a block of a kernel of this shape, a tuple."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `unit(shape)`."
        )

    def units(self, shape):
        """The number of blocks of a kernel of this shape."""
        return math.prod(-(-size // b) for size, b in zip(shape, self.unit(shape)))

    def kept(self, units):
        """The number `l` of blocks kept, of `units`."""
        return self.budget(kept(units, self.sparsity), units)

    def scores(self, w):
        """Squared norms of the blocks of `w`, up to one factor for all."""
        return selection.block_norms(w, self.unit(w.shape))

    def mask(self, w):
        w = ops.convert_to_tensor(w)
        scores = self.scores(w)
        flat = ops.reshape(scores, (-1,))
        blocks = selection.largest(flat, self.kept(flat.shape[0]))
        blocks = ops.reshape(blocks, scores.shape)
        return selection.spread(blocks, self.unit(w.shape), w.shape)

    def get_config(self):
        return {"sparsity": self.sparsity, **metrics.config(self.metric)}


@keras.saving.register_keras_serializable(package="tf_admm")
class Sparsity(RateConstraint):
    """Unstructured sparsity: at most `l = n - round(sparsity * n)` nonzeros.

        S = {v : card(v) <= l},  n = size of the kernel.

    The projection keeps the `l` entries of largest magnitude; of equal
    magnitudes, those that come first in row-major order. Exactly `l` entries
    are kept, also where some of them are 0.0.

    Args:
        sparsity: float in [0, 1], the fraction of zeros.
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if `sparsity` is not a number in [0, 1], or `metric` no metric.

    Example:

    >>> half = tf_admm.constraints.Sparsity(0.5)
    >>> np.array(half(np.array([1.0, -3.0, 2.0, 0.5]))).tolist()
    [0.0, -3.0, 2.0, 0.0]

    Reference: Zhang et al., 2018, arXiv:1804.03294, section 3.
    """

    def unit(self, shape):
        return (1,) * len(shape)


@keras.saving.register_keras_serializable(package="tf_admm")
class BlockSparsity(RateConstraint):
    """Sparsity in blocks: the fraction `sparsity` of them is zero.

    Args:
        sparsity: float in [0, 1], the fraction of zero blocks.
        block: tuple of ints, the shape of a block along the last axes of the
            kernel, in Keras' axis order; 1 along the axes before. `(4, 1)` is
            4 input features of one output of a Dense layer, which TFLite
            calls 1x4 and multiplies fast; its other block is `(16, 1)`.
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if `sparsity` is not in [0, 1], or `block` no tuple of
            positive integers; when called, if the kernel has fewer axes, or
            an axis smaller than the block.
    """

    def __init__(
        self,
        sparsity: float,
        block: tuple[int, ...],
        metric: str | Callable = "magnitude",
    ):
        super().__init__(sparsity, metric)
        if not isinstance(block, tuple | list) or not block:
            raise ValueError(
                "Invalid value for argument `block`. Expected a tuple of positive "
                f"integers, such as (4, 1). Received: block={block!r}"
            )
        self.block = tuple(positive("block", size) for size in block)

    def check(self, shapes):
        for shape in shapes:
            last = shape[len(shape) - len(self.block) :]
            if len(shape) < len(self.block) or any(
                size < b for size, b in zip(last, self.block)
            ):
                raise ValueError(
                    f"Expected a kernel that a block of shape {self.block} fits "
                    f"in. Received: a kernel of shape {shape}"
                )

    def unit(self, shape):
        return (1,) * (len(shape) - len(self.block)) + self.block

    def get_config(self):
        return {**super().get_config(), "block": list(self.block)}

    def arguments(self):
        return {**super().arguments(), "block": self.block}


class _AxisSparsity(RateConstraint):
    """Base of the block sets that need an input and an output axis."""

    def check(self, shapes):
        for shape in shapes:
            if len(shape) < 2 or self.units(shape) < 2:
                raise ValueError(
                    f"Expected a kernel with more than one {self.noun}. Received: "
                    f"a kernel of shape {shape}, in the order (positions..., "
                    "inputs, outputs)"
                )


@keras.saving.register_keras_serializable(package="tf_admm")
class FilterSparsity(_AxisSparsity):
    """Whole filters are zero: `w[..., o]`, all that goes into one output unit.

    Args:
        sparsity: float in [0, 1], the fraction of zero filters.
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if `sparsity` is not in [0, 1]; when called, if the kernel
            has one filter only.

    Reference: StructADMM, Zhang et al., 2018, arXiv:1807.11091.
    """

    noun = "filter"

    def unit(self, shape):
        return (*shape[:-1], 1)


@keras.saving.register_keras_serializable(package="tf_admm")
class ChannelSparsity(_AxisSparsity):
    """Whole channels are zero: `w[..., i, :]`, all that reads one input unit.

    Args:
        sparsity: float in [0, 1], the fraction of zero channels.
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if `sparsity` is not in [0, 1]; when called, if the kernel
            has one channel only, as those of depthwise layers have.

    Reference: StructADMM, Zhang et al., 2018, arXiv:1807.11091.
    """

    noun = "channel"

    def unit(self, shape):
        return (*shape[:-2], 1, shape[-1])


@keras.saving.register_keras_serializable(package="tf_admm")
class ColumnSparsity(_AxisSparsity):
    """Whole columns are zero: `w[p, i, :]`, one position of all filters.

    Also called shape-wise sparsity: the filters are zero at the same places, so
    that columns of the matrix that a convolution multiplies can be left out.

    Args:
        sparsity: float in [0, 1], the fraction of zero columns.
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if `sparsity` is not in [0, 1]; when called, if the kernel
            has one column only.

    Reference: StructADMM, Zhang et al., 2018, arXiv:1807.11091.
    """

    noun = "column"

    def unit(self, shape):
        return (*(1,) * (len(shape) - 1), shape[-1])


@keras.saving.register_keras_serializable(package="tf_admm")
class KernelSparsity(_AxisSparsity):
    """Whole 2D kernels are zero: `w[:, :, i, o]`, one input of one filter.

    Also called connectivity pruning.

    Args:
        sparsity: float in [0, 1], the fraction of zero kernels.
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if `sparsity` is not in [0, 1]; when called, if there is one
            kernel only.

    Reference: PatDNN, Niu et al., 2020, arXiv:2001.00138.
    """

    noun = "pair of input and output"

    def unit(self, shape):
        return (*shape[:-2], 1, 1)
