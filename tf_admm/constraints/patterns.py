"""Kernel patterns, with connectivity pruning."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tf_admm.constraints import metrics
from tf_admm.constraints import selection
from tf_admm.constraints.base import MaskConstraint
from tf_admm.constraints.base import fraction
from tf_admm.constraints.base import kept

#: 4 of 9: the centre with three of its four neighbours, or with the three
#: others of a 2x2 square.
FOUR_OF_NINE = (
    ((0, 1, 0), (1, 1, 1), (0, 0, 0)),
    ((0, 0, 0), (1, 1, 1), (0, 1, 0)),
    ((0, 1, 0), (1, 1, 0), (0, 1, 0)),
    ((0, 1, 0), (0, 1, 1), (0, 1, 0)),
    ((1, 1, 0), (1, 1, 0), (0, 0, 0)),
    ((0, 1, 1), (0, 1, 1), (0, 0, 0)),
    ((0, 0, 0), (1, 1, 0), (1, 1, 0)),
    ((0, 0, 0), (0, 1, 1), (0, 1, 1)),
)


@keras.saving.register_keras_serializable(package="tf_admm")
class PatternSparsity(MaskConstraint):
    """Each 2D kernel is zero outside of one pattern of a library.

    A kernel is `w[..., i, o]`, one input of one filter. The projection chooses,
    for each, the pattern P that loses least, `||w - w * P||`, and
    then keeps the kernels whose `||w * P||` is largest. Both together are the
    nearest member.

    Args:
        patterns: the library, nested lists of 0 and 1, each of the spatial
            shape of the kernels; `None` for eight patterns of 4 entries of 3x3.
        connectivity: float in [0, 1], the fraction of kernels that are zero.
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if the patterns are not all of one shape, of 0 and 1; if
            `connectivity` is not in [0, 1]; when called, if the kernel has
            another spatial shape.

    References: PCONV, Ma et al., 2019, arXiv:1909.05073; PatDNN, Niu et al.,
    2020, arXiv:2001.00138.
    """

    coupled = False

    def __init__(
        self,
        patterns: Any = None,
        connectivity: float = 0.0,
        metric: str | Callable = "magnitude",
    ):
        self._library = _library(FOUR_OF_NINE if patterns is None else patterns)
        self.patterns = ops.convert_to_numpy(self._library).tolist()
        self.connectivity = fraction("connectivity", connectivity)
        self.metric = metrics.get(metric)

    def check(self, shapes):
        expected = tuple(self._library.shape[1:])
        for shape in shapes:
            if tuple(shape[:-2]) != expected:
                raise ValueError(
                    f"Expected a kernel of the shape {expected} of the patterns, "
                    "and then its inputs and outputs. Received: a kernel of "
                    f"shape {shape}"
                )

    def mask(self, w):
        w = ops.convert_to_tensor(w)
        pattern, norms = self._nearest(w)
        units = norms.shape[0]
        budget = self.budget(kept(units, self.connectivity), units)
        whole = selection.largest(norms, budget)
        library = ops.transpose(ops.reshape(self._library, (-1, _size(w)))) != 0
        mask = ops.reshape(ops.take(library, pattern, axis=1), w.shape)
        kernels = (1,) * (len(w.shape) - 2) + tuple(w.shape[-2:])
        return ops.logical_and(mask, ops.reshape(whole, kernels))

    def _nearest(self, w):
        """Each kernel's pattern, an index, and the squared norm within it.

        By what is lost outside of it, not by what is inside, which small weights
        beside large ones may not change by a digit: of a member, nothing is lost.
        """
        squares = ops.square(selection.unit_scale(w))
        squares = ops.reshape(squares, (_size(w), -1))
        outside = ops.reshape(self._library, (-1, _size(w))) == 0
        lost = ops.matmul(ops.cast(outside, squares.dtype), squares)
        norms = ops.sum(squares, axis=0) - ops.min(lost, axis=0)
        # Of floats, Keras' argmin makes two more tensors of this size.
        return ops.argmin(selection.bits(lost), axis=0), ops.maximum(norms, 0)

    def get_config(self):
        config = {"patterns": self.patterns, "connectivity": self.connectivity}
        return {**config, **metrics.config(self.metric)}


def _size(w):
    """Entries of a 2D kernel."""
    return math.prod(w.shape[:-2])


def _library(patterns):
    try:
        library = ops.convert_to_tensor(patterns, dtype="float32")
        good = len(library.shape) > 1 and bool(ops.all((library == 0) | (library == 1)))
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            "Invalid value for argument `patterns`. Expected a list of patterns of "
            f"0 and 1, all of one shape. Received: patterns={patterns}"
        )
    return ops.cast(library, "int32")
