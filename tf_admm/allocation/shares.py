"""What each kernel gets of a budget."""

import math

#: Halvings of the interval of the level at which the budget is met.
HALVINGS = 60


class Share:
    """What one kernel may get.

    Attributes:
        units: number of its units.
        floor: the least number of them that is kept.
    """

    def __init__(self, kernel, family, cost):
        self.kernel = kernel
        self.family = family
        self._cost = cost
        constraint = family(0.0)
        constraint.check([kernel.shape])
        self.units = constraint.units(kernel.shape)
        self._size = math.prod(constraint.unit(kernel.shape))
        # A weight for each output, so that none need be cut off.
        self.floor = min(self.units, math.ceil(kernel.shape[-1] / self._size))

    def cost(self, kept):
        """What so many units cost."""
        weights = min(kept * self._size, self.kernel.size)
        return self._cost(self.kernel, weights)

    def cost_of_density(self, density):
        return self.cost(self.kept(density))

    def kept(self, density):
        """So much of the units, but no fewer than the floor."""
        return max(self.floor, min(self.units, math.floor(density * self.units + 1e-9)))

    def constraint(self, kept):
        return self.family(1.0 - kept / self.units)


def meet(shares, level, budget):
    """Units kept of each, the most that the budget allows at the level."""

    def kept(t):
        return [share.kept(density) for share, density in zip(shares, level(t))]

    def cost(counts):
        return sum(share.cost(count) for share, count in zip(shares, counts))

    low, high = 0.0, 1.0
    if cost(kept(high)) <= budget:
        low = high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if cost(kept(middle)) <= budget:
            low = middle
        else:
            high = middle
    # What is left of the budget goes to the kernels that would get more next.
    counts, more = kept(low), kept(high)
    for i, share in enumerate(shares):
        left = budget - cost(counts) + share.cost(counts[i])
        counts[i] = _most(share, counts[i], max(counts[i], more[i]), left)
    return counts


def _most(share, low, high, budget):
    """The most units from low to high whose cost is within the budget."""
    while low < high:
        middle = (low + high + 1) // 2
        if share.cost(middle) <= budget:
            low = middle
        else:
            high = middle - 1
    return low
