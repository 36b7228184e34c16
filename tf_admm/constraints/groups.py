"""Sets over channel groups: whole channels, with all that makes them."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from tf_admm.constraints import metrics
from tf_admm.constraints import selection
from tf_admm.constraints.base import MaskConstraint
from tf_admm.constraints.base import fraction as checked_fraction
from tf_admm.constraints.base import kept
from tf_admm.constraints.base import wide


@keras.saving.register_keras_serializable(package="tf_admm")
class GroupSparsity(MaskConstraint):
    """Channels of a group are dead: 0.0 in every weight that makes them.

    A channel group (`tf_admm.channel_groups`) is what layers tie together: outputs of
    kernels, their biases, gamma and beta, across residual sums, depthwise layers and
    concatenations. With members v_1, v_2, ... of a group of n channels,

        S = {v : at least round(fraction * n) channels are 0.0 in all v_m}.

    A dead channel puts out exactly 0.0 behind relu, swish, gelu and hard-swish, and
    `tf_admm.shrink` takes it out. The projection is exact in the norm

        sum_m sum_j (v_mj - z_mj)^2 / (e_m mean(v_m^2)),

    e_m = entries of one channel in member m. So each member counts as much as any
    other, on the average over the channels: a bias as much as a kernel. By curvature
    the norm is `sum_m sum_j f_mj (v_mj - z_mj)^2`, the same unit in every member. Kept
    are the channels of largest norm; of equal ones, the first.

    Given to `ADMMModel` alone it is a constraint for each group that can be pruned. As
    an entry of a dict it is one for each group that has a kernel which the key matches.

    Args:
        fraction: float in [0, 1), the fraction of dead channels.
        metric: what a weight is worth; see `MaskConstraint`.

    Raises:
        ValueError: if `fraction` is no number in [0, 1]; when given to an
            `ADMMModel`, if the model's layers can't be traced, if no channel of a
            group would stay, if a key names a group that can't be pruned, or if a
            weight is given another constraint as well.

    Example:

    >>> layers = [keras.layers.Dense(8, name=name) for name in ("block1_fc", "head")]
    >>> model = keras.Sequential([keras.Input((8,)), *layers])
    >>> half = tf_admm.constraints.GroupSparsity(0.5)
    >>> admm = tf_admm.ADMMModel(model, {"block1_.*": half})
    """

    def __init__(self, fraction: float, metric: str | Callable = "magnitude"):
        self.fraction = checked_fraction("fraction", fraction)
        self.metric = metrics.get(metric)

    def kept(self, channels):
        """The number of channels that may be live, of `channels`."""
        return self.budget(kept(channels, self.fraction), channels)

    def masks(self, ws):
        raise ValueError(
            "Expected `GroupSparsity` to be given to an `ADMMModel`, which finds the "
            f"groups. Received: a call of {self} on tensors of shapes "
            f"{[tuple(w.shape) for w in ws]}"
        )

    def get_config(self):
        return {"fraction": self.fraction, **metrics.config(self.metric)}


class Groups(MaskConstraint):
    """The sets of several groups of one model, over all of their members at once.

    One weight may hold channels of several groups, such as the gamma behind a
    Concatenate; no entry belongs to two.

    Args:
        sets: list of `(name, channels, GroupSparsity)`.
        members: list, for each weight, of `(number, axis, index)`: which set has
            entries in it, along which axis, and where: int array `(channels, entries)`.
        shapes: list of the weights' shapes.
    """

    def __init__(self, sets, members, shapes):
        self.sets = sets
        self.metric = sets[0][2].metric
        self._starts = np.cumsum([0, *(channels for _, channels, _ in sets)])
        self._members = members
        # Which channel of all an index of an axis belongs to; beyond the last: none.
        self._owners = [
            self._owner(parts, shape) for parts, shape in zip(members, shapes)
        ]

    def _owner(self, parts, shape):
        owners = {}
        for number, axis, index in parts:
            none = np.full(shape[axis], self._starts[-1], "int32")
            owner = owners.setdefault(axis, none)
            owner[index] = self._starts[number] + np.arange(len(index))[:, None]
        return owners

    def scores(self, ws):
        """The squared norm of each channel of all groups, in their order."""
        found = [0.0 for _ in self.sets]
        for w, parts in zip(ws, self._members):
            for number, axis, index in parts:
                found[number] += self._worth(w, axis, index)
        return found

    def _worth(self, w, axis, index):
        """Of each channel, by one member; magnitudes differ from one to the other."""
        if self.metric == "magnitude":
            return _share(_squares(selection.unit_scale(wide(w)), axis, index))
        return _squares(wide(w), axis, index)

    def masks(self, ws):
        ws = [ops.convert_to_tensor(w) for w in ws]
        live = [
            selection.largest(scores, group.loosened(self.excess).kept(channels))
            for scores, (_, channels, group) in zip(self.scores(ws), self.sets)
        ]
        live = ops.concatenate([*live, ops.ones((1,), "bool")])
        return [self._mask(live, w, owners) for w, owners in zip(ws, self._owners)]

    def _mask(self, live, w, owners):
        mask = ops.ones(w.shape, "bool")
        for axis, owner in owners.items():
            shape = [1] * len(w.shape)
            shape[axis] = -1
            mask = ops.logical_and(mask, ops.reshape(ops.take(live, owner), shape))
        return mask

    def get_config(self):
        return {name: group.fraction for name, _, group in self.sets}

    def __repr__(self):
        fractions = {name: group.fraction for name, _, group in self.sets}
        return f"GroupSparsity of {fractions}"


def _squares(w, axis, index):
    """The squared norm of each channel's entries of a member."""
    others = tuple(a for a in range(len(w.shape)) if a != axis)
    squares = ops.sum(ops.square(w), axis=others)
    return ops.sum(ops.take(squares, index.astype("int32")), axis=1)


def _share(squares):
    """Of the member's squared norm, the share of each channel times their number."""
    total = ops.mean(squares)
    return squares / ops.where(total > 0, total, 1)
