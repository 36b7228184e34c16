"""Shared centroids."""

import keras
from keras import ops

from tf_admm.constraints.base import ValueConstraint
from tf_admm.constraints.base import positive
from tf_admm.constraints.base import wide

#: Runs of sorted weights that a cluster is made of; a run is one weight in
#: kernels with no more weights than this.
RUNS = 512
#: Clusters must be of several runs each, and a code no more than a byte.
MOST = 256
#: Over the weights, for a mean of millions to be right to the last digit.
PASSES = 3
#: Rounds of Lloyd's algorithm after it.
ROUNDS = 4


@keras.saving.register_keras_serializable(package="tf_admm")
class Clusters(ValueConstraint):
    """The weights have at most `clusters` distinct values, the centroids.

    The nearest member is k-means in one dimension, in which clusters are runs of
    the sorted weights. It is found by dynamic programming, exactly for up to 512
    weights; in larger kernels over 512 runs of sorted weights, followed by rounds
    of Lloyd's algorithm over all.

    Retraining keeps the clusters and moves the centroids.

    Args:
        clusters: int, from 1 to 256.

    Raises:
        ValueError: if `clusters` is no positive integer, or more than 256.

    Reference: Ye et al., 2018, arXiv:1811.01907.
    """

    def __init__(self, clusters):
        self.clusters = positive("clusters", clusters)
        if clusters > MOST:
            raise ValueError(
                f"Invalid value for argument `clusters`. Expected at most {MOST}. "
                f"Received: clusters={clusters}"
            )

    def codes(self, w, among):
        flat, inside = ops.reshape(wide(w), (-1,)), ops.reshape(among, (-1,))
        centroids = self._start(flat, inside)
        for _ in range(ROUNDS):
            codes = _assign(flat, inside, centroids)
            means = self._means(flat, codes)[1:]
            # An empty cluster stays where it is.
            filled = self._counts(codes)[1:] > 0
            centroids = ops.sort(ops.where(filled, means, centroids))
        codes = _assign(flat, inside, centroids)
        return ops.cast(ops.reshape(codes, w.shape), w.dtype)

    def restrict(self, w, settled):
        codes = ops.cast(ops.reshape(settled, (-1,)), "int32")
        means = self._means(ops.reshape(wide(w), (-1,)), codes)
        return ops.cast(ops.reshape(ops.take(means, codes), w.shape), w.dtype)

    def get_config(self):
        return {"clusters": self.clusters}

    def _means(self, flat, codes):
        """The mean of each cluster; that of code 0, which is no cluster, is 0.0."""
        counts = ops.cast(ops.maximum(self._counts(codes), 1), flat.dtype)
        means = ops.zeros_like(counts)
        # Sums of many are rounded; the next pass adds up what this one left.
        for _ in range(PASSES):
            rest = flat - ops.take(means, codes)
            sums = ops.segment_sum(rest, codes, num_segments=self.clusters + 1)
            means = means + sums / counts
        return ops.where(ops.arange(self.clusters + 1) > 0, means, 0)

    def _counts(self, codes):
        ones = ops.ones_like(codes)
        return ops.segment_sum(ones, codes, num_segments=self.clusters + 1)

    def _start(self, flat, inside):
        """Centroids of the best cut of the sorted weights into runs of runs."""
        order = ops.argsort(ops.where(inside, flat, ops.max(flat) + 1))
        flat, inside = ops.take(flat, order), ops.take(inside, order)
        number = ops.sum(ops.cast(inside, "int32"))
        middle = ops.sum(ops.where(inside, flat, 0)) / ops.cast(
            ops.maximum(number, 1), flat.dtype
        )
        x = ops.where(inside, flat - middle, 0)
        # In two parts, since their product may not fit in 32 bits.
        places = ops.arange(RUNS + 1)
        edges = places * (number // RUNS) + places * (number % RUNS) // RUNS
        n = ops.cast(edges, x.dtype)
        s, ss = (ops.take(_before(t), edges) for t in (x, ops.square(x)))
        cuts = _cuts(_cost(n, s, ss), self.clusters)
        n, s = ops.take(n, cuts), ops.take(s, cuts)
        n, s = n[1:] - n[:-1], s[1:] - s[:-1]
        return ops.sort(s / ops.maximum(n, 1) + middle)


def _before(x):
    """Sums of all that comes before each place, and of all."""
    return ops.concatenate([ops.zeros_like(x[:1]), ops.cumsum(x)])


def _cost(n, s, ss):
    """Squared distance of runs i, ..., j - 1 to their mean; infinite if j < i."""
    n, s, ss = (ops.expand_dims(t, 0) - ops.expand_dims(t, 1) for t in (n, s, ss))
    cost = ops.maximum(ss - ops.square(s) / ops.maximum(n, 1), 0)
    places = ops.arange(RUNS + 1)
    backward = ops.expand_dims(places, 0) < ops.expand_dims(places, 1)
    return ops.where(backward, float("inf"), cost)


def _cuts(cost, clusters):
    """Where the cheapest cut into so many clusters begins and ends each."""
    total, choices = cost[0], []
    for _ in range(clusters - 1):
        totals = ops.expand_dims(total, 1) + cost
        choices.append(ops.argmin(totals, axis=0))
        total = ops.min(totals, axis=0)
    cuts = [ops.cast(RUNS, choices[0].dtype) if choices else RUNS]
    for choice in reversed(choices):
        cuts.insert(0, ops.take(choice, cuts[0]))
    return ops.stack([ops.zeros_like(cuts[0]), *cuts])


def _assign(flat, inside, centroids):
    """1 + the index of the nearest centroid; 0 outside."""
    middles = (centroids[1:] + centroids[:-1]) / 2
    codes = 1 + ops.cast(ops.searchsorted(middles, flat), "int32")
    return ops.where(inside, codes, 0)
