"""One budget spent over channel groups."""

import math

import keras
import numpy as np

from tf_admm.allocation import bounds
from tf_admm.allocation import sensitivity
from tf_admm.allocation.budget import Budget
from tf_admm.allocation.remains import Remains
from tf_admm.constraints import GroupSparsity
from tf_admm.structure import groups
from tf_admm.structure import members


class Share:
    """What one group may get.

    Attributes:
        group: the `ChannelGroup`.
        path: its name, by which its losses are kept.
        units: number of its channels; at least one of them is kept.

    Args:
        group: the `ChannelGroup`.
        tile: int, the outputs of a kernel that are computed together.
    """

    def __init__(self, group, tile=1):
        self.group = group
        self.path = group.name
        self.units = group.channels
        width = min(part.index.shape[1] for part in group.producers)
        self._tile = max(1, tile // width)

    def kept(self, density):
        """So much of the channels, in whole tiles, but at least one."""
        count = max(1, min(self.units, math.floor(density * self.units + 1e-9)))
        if count <= self._tile:
            return count
        below = count - count % self._tile
        above = min(self.units, below + self._tile)
        return below if 2 * count < below + above else above

    def more(self, kept):
        """The next count above one that may be kept."""
        return min(self.units, kept + (1 if kept < self._tile else self._tile))

    def constraint(self, kept):
        return GroupSparsity(1.0 - kept / self.units)

    def bound(self, fraction):
        """The members of the group, and the set over them."""
        choice = members.GroupChoice(self.group, GroupSparsity(fraction), "")
        return members.Matched([], [choice])

    def scores(self):
        """The squared norm of each channel, 1.0 on the average."""
        pairs = self.bound(0.0)
        ws = [keras.ops.convert_to_tensor(member.variable) for member, _ in pairs]
        (scores,) = pairs[0][1].scores(ws)
        return np.ravel(keras.ops.convert_to_numpy(scores)) / len(pairs)

    # What the sensitivity projects.

    @property
    def variables(self):
        return [member.variable for member, _ in self.bound(0.0)]

    def projected(self, weights, density):
        """The weights with all but `density` of the channels dead."""
        together = self.bound(1.0 - density)[0][1]
        masks = together.masks(weights)
        return [keras.ops.where(mask, w, 0) for mask, w in zip(masks, weights)]


def shares(everything, exclude, tile):
    """The groups that may lose channels.

    Raises:
        ValueError: if a key of `exclude` names no group.
    """
    names = [group.name for group in everything]
    unknown = [key for key in exclude if key not in names]
    if unknown:
        raise ValueError(
            f"Expected each key of `exclude` to be the name of a channel group, one of "
            f"{names}. Received: {unknown}"
        )
    chosen = [
        Share(group, tile)
        for group in everything
        if members.why_not(group) is None and group.name not in exclude
    ]
    if not chosen:
        reasons = {group.name: members.why_not(group) for group in everything}
        raise ValueError(
            "Expected a model with channel groups that can be pruned. Received: one "
            f"with {reasons}"
        )
    return chosen


def meet(found, level, left, budget):
    """Channels kept of each group, the most that the budget allows at the level."""

    def kept(t):
        return [share.kept(density) for share, density in zip(found, level(t))]

    low, high = 0.0, 1.0
    if left(kept(high)) <= budget:
        low = high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if left(kept(middle)) <= budget else (low, middle)
    counts = kept(low)
    # What is left of the budget goes to those that would get more next, then to all.
    for most in (kept(high), [share.units for share in found]):
        for i in range(len(found)):
            while counts[i] < most[i]:
                more = [*counts[:i], found[i].more(counts[i]), *counts[i + 1 :]]
                if left(more) > budget:
                    break
                counts = more
    return counts


# Methods: from a level in [0, 1] to the density of each group.


def uniform(found, left, **_):
    """The same density everywhere."""
    return lambda t: [t] * len(found)


def erk(found, left, **_):
    """Density in proportion to `sum(shape) / prod(shape)` of the kernels that make it.

    Reference: Evci et al., 2020, arXiv:1911.11134.
    """
    raw = []
    for share in found:
        shapes = [p.variable.shape for p in share.group.producers]
        shapes = [shape for shape in shapes if len(shape) > 1] or shapes
        raw.append(np.mean([sum(shape) / math.prod(shape) for shape in shapes]))
    return lambda t: [min(1.0, t * r / min(raw)) for r in raw]


def magnitude(found, left, **_):
    """One threshold for the norms of all channels, each by its group's average."""
    scores = [np.sort(share.scores().astype("float64")) for share in found]
    together = np.sort(np.concatenate(scores))[::-1]

    def densities(t):
        if t >= 1.0:
            return [1.0] * len(scores)
        below = together[min(int(t * together.size), together.size - 1)]
        return [1 - np.searchsorted(s, below, side="right") / s.size for s in scores]

    return densities


def loss(found, left, model, data, cache, verbose):
    """One share of how far the loss rises with one group alone pruned."""
    curves = sensitivity.curves(model, found, GroupSparsity, data, cache, verbose)
    return bounds.even([curves[share.path] for share in found])


METHODS = {"uniform": uniform, "erk": erk, "magnitude": magnitude, "sensitivity": loss}


def allocate(model, name, budget, method, exclude, samples, tile, **measuring):
    """The `GroupSparsity` of each group, by its name, that meets a budget.

    Args:
        name: `"ratio"`, `"nonzeros"`, `"bytes"` or `"macs"`, of what `shrink` leaves.
        budget: its value.
        tile: int, the outputs of a kernel that are computed together.
        measuring: `data`, `cache` and `verbose`, for `"sensitivity"`.
    """
    everything = groups.channel_groups(model, samples=samples, verbose=0)
    found = shares(everything, exclude, tile)
    unit = "nonzeros" if name == "ratio" else name
    left = Remains(model, everything, found, unit, samples)
    full = left([share.units for share in found])
    limit = Budget(name, budget, full)

    def why(too_small):
        if not too_small:
            return "nothing is pruned"
        held = _holders(model, everything, found, unit, samples)
        return f"one channel of each group is left; these stay: {held}"

    limit.check(left([1] * len(found)), full, why)
    level = METHODS[method](found, left, model=model, **measuring)
    counts = meet(found, level, left, limit.cost)
    return {s.path: s.constraint(kept) for s, kept in zip(found, counts)}


def _holders(model, everything, found, unit, samples):
    """What the groups that stay hold up, the largest first."""
    chosen = {share.path for share in found}
    held = []
    for group in everything:
        if group.name not in chosen:
            alone = Remains(model, [group], [Share(group)], unit, samples)
            part = 1 - alone([0]) / alone([group.channels])
            held.append((part, group.name, members.why_not(group) or "excluded"))
    return [f"'{name}' ({part:.0%}): {why}" for part, name, why in sorted(held)[:-4:-1]]
