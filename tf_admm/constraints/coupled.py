"""Sets that couple the kernels that share one constraint object."""

import math
from collections.abc import Callable

import keras
from keras import ops

from tf_admm.constraints import metrics
from tf_admm.constraints import selection
from tf_admm.constraints.base import MaskConstraint
from tf_admm.constraints.base import fraction
from tf_admm.constraints.base import kept


@keras.saving.register_keras_serializable(package="tf_admm")
class GlobalSparsity(MaskConstraint):
    """One budget of nonzeros for all kernels that share this object.

        S = {(v_1, v_2, ...) : sum_i max(card(v_i), m_i) <= l = n - round(sparsity n)},

    n = size of all of them. So that none is cut off, room for m_i weights is left to
    each: as many as it has outputs, all together at most a tenth of l, but one at least
    where there is room for one each. The projection keeps the m_i entries of largest
    magnitude of each kernel, and then the largest of all the others; of equal
    magnitudes, the first kernel's.

    Args:
        sparsity: float in [0, 1], the fraction of zeros.
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if `sparsity` is not a number in [0, 1], or `metric` no metric.

    Example:

    >>> layers = [keras.layers.Dense(8, name=name) for name in ("fc1", "fc2", "head")]
    >>> model = keras.Sequential([keras.Input((8,)), *layers])
    >>> everything = tf_admm.constraints.GlobalSparsity(0.9)
    >>> admm = tf_admm.ADMMModel(model, {"head": None, ".*": everything})
    """

    def __init__(self, sparsity: float, metric: str | Callable = "magnitude"):
        self.sparsity = fraction("sparsity", sparsity)
        self.metric = metrics.get(metric)

    def masks(self, ws):
        ws = [ops.convert_to_tensor(w) for w in ws]
        flat = [ops.reshape(w, (-1,)) for w in ws]
        size = sum(w.shape[0] for w in flat)
        asked = kept(size, self.sparsity)
        flat = [_first(w, n) for w, n in zip(flat, _room(ws, asked))]
        mask = selection.largest(ops.concatenate(flat), self.budget(asked, size))
        return _cut(mask, [w.shape for w in ws])

    def get_config(self):
        return {"sparsity": self.sparsity, **metrics.config(self.metric)}


@keras.saving.register_keras_serializable(package="tf_admm")
class UnitSparsity(MaskConstraint):
    """Units between two kernels are dead: filters of one, channels of the next.

    Two kernels share it, in the order of the model (of a subclassed model, that in
    which its layers became attributes). The second must read what the first puts
    out, directly or through a Flatten. A unit is one filter of the first together
    with all that reads it in the second, counted once:

        S = {(v, v') : at least round(sparsity * n) units are 0.0 in both}.

    The projection keeps the units of largest `||w[..., u]||^2 +
    ||w'[..., u, :]||^2`; of equal ones, the first.

    Args:
        sparsity: float in [0, 1], the fraction of dead units.
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if `sparsity` is not in [0, 1]; when given to an `ADMMModel`,
            if not two kernels share it, or the inputs of the second are no
            multiple of the outputs of the first, or it is known not to read them.

    Example:

    >>> layers = [keras.layers.Dense(8, name=name) for name in ("fc1", "fc2", "head")]
    >>> model = keras.Sequential([keras.Input((8,)), *layers])
    >>> units = tf_admm.constraints.UnitSparsity(0.5)
    >>> admm = tf_admm.ADMMModel(model, {"fc1": units, "fc2": units})
    """

    def __init__(self, sparsity: float, metric: str | Callable = "magnitude"):
        self.sparsity = fraction("sparsity", sparsity)
        self.metric = metrics.get(metric)

    adjacent = True

    def check(self, shapes):
        if (
            len(shapes) != 2
            or min(map(len, shapes)) < 2
            or shapes[1][-2] % shapes[0][-1]
        ):
            raise ValueError(
                "Expected two kernels that share the constraint, the "
                "second with as many inputs as the first has outputs, or a multiple. "
                f"Received: kernels of shapes {shapes}"
            )

    def masks(self, ws):
        first, second = (ops.convert_to_tensor(w) for w in ws)
        units = first.shape[-1]
        # Flatten puts the channels last, so the position is the outer index.
        split = (-1, units, second.shape[-1])
        both = ops.concatenate(
            [
                ops.reshape(first, (-1, units)),
                ops.reshape(
                    ops.moveaxis(ops.reshape(second, split), 1, 2), (-1, units)
                ),
            ]
        )
        norms = selection.block_norms(both, (both.shape[0], 1))[0]
        live = selection.largest(norms, self.budget(kept(units, self.sparsity), units))
        incoming = ops.broadcast_to(live, first.shape)
        outgoing = ops.reshape(live, (1, units, 1))
        outgoing = ops.broadcast_to(outgoing, ops.reshape(second, split).shape)
        return [incoming, ops.reshape(outgoing, second.shape)]

    def get_config(self):
        return {"sparsity": self.sparsity, **metrics.config(self.metric)}


def _room(ws, budget):
    """How many weights each kernel keeps in any case."""
    outputs = [w.shape[-1] if len(w.shape) > 1 else 1 for w in ws]
    share = min(1.0, 0.1 * budget / sum(outputs))
    least = [max(1, math.floor(share * n)) for n in outputs]
    return least if sum(least) <= budget else [0 for _ in ws]


def _first(w, n):
    """w, with the `n` entries of largest magnitude in front of all others."""
    return ops.where(selection.largest(w, n), math.inf, w)


def _cut(flat, shapes):
    """The inverse of concatenating tensors of these shapes."""
    parts, start = [], 0
    for shape in shapes:
        end = start + math.prod(shape)
        parts.append(ops.reshape(flat[start:end], shape))
        start = end
    return parts
