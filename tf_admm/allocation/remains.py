"""What is left of a model without the channels that are not kept."""

import numpy as np

from tf_admm.structure import kernels
from tf_admm.structure import uses


class Remains:
    """What is left of a model without the channels that are not kept, exactly.

    A weight keeps, along each axis, the entries of the channels that are kept; so what
    a kernel between two groups costs is a product.

    Args:
        model: the model.
        everything: its `ChannelGroups`.
        shares: list of `Share`, of the groups that may lose channels.
        budget: `"macs"`, `"bytes"`, or `"nonzeros"`.
        samples: inputs that say the sizes which the model leaves open.
    """

    def __init__(self, model, everything, shares, budget, samples):
        numbers = {share.group.name: i for i, share in enumerate(shares)}
        self._weights = {}
        for variable, coefficient in _coefficients(model, budget, samples):
            if coefficient:
                sizes = np.array(variable.shape, "float64")
                each = np.zeros((len(sizes), len(shares)))
                self._weights[id(variable)] = [coefficient, sizes, each]
        for group in everything:
            if group.name in numbers:
                self._count(group, numbers[group.name])

    def _count(self, group, number):
        for part in (*group.producers, *group.consumers, *group.statistics):
            if id(part.variable) in self._weights and not part.stays:
                _, sizes, each = self._weights[id(part.variable)]
                each[part.axis, number] = part.index.shape[1]
                sizes[part.axis] -= part.index.size

    def __call__(self, counts):
        """What is left, for so many channels of each group."""
        counts = np.array(counts, "float64")
        return float(
            sum(
                coefficient * np.prod(sizes + each @ counts)
                for coefficient, sizes, each in self._weights.values()
            )
        )


def _coefficients(model, budget, samples):
    """Weights, and what one entry of each costs."""
    found = {id(k.variable): k.variable for k in kernels.find(model)}
    if budget == "macs":
        counts = uses.uses(model, samples)
        return [(v, counts.get(key, 0)) for key, v in found.items()]
    if budget == "bytes":
        return [(w, 4) for w in {id(w): w for w in model.weights}.values()]
    return [(v, 1) for v in found.values()]
