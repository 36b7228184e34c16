"""Shared centroids."""

import keras
from keras import ops

from tf_admm.constraints import blocks
from tf_admm.constraints.base import ValueConstraint
from tf_admm.constraints.base import positive
from tf_admm.constraints.base import wide

#: Runs of sorted weights that a cluster is made of; a run is one weight in
#: kernels with no more weights than this.
RUNS = 512
#: Clusters must be of several runs each, and a code no more than a byte.
MOST = 256
#: Weights that are sorted, about; of larger kernels a sample.
SORTED = 2**15
#: Over the weights, for a mean of millions to be right to the last digit.
PASSES = 2
#: Rounds of Lloyd's algorithm after it: over the sample, and over all weights.
QUICK, ROUNDS = 16, 8


@keras.saving.register_keras_serializable(package="tf_admm")
class Clusters(ValueConstraint):
    """The weights have at most `clusters` distinct values, the centroids.

    The nearest member is k-means in one dimension, in which clusters are runs of
    the sorted weights. It is found by dynamic programming, exactly for up to 512
    weights; in larger kernels over 512 runs of sorted weights (of about 2^15 of them,
    or a 64th), followed by rounds of Lloyd's algorithm, the last of them over all.

    The weights are worked on in blocks, so that no more than three times the memory
    of the kernel is needed beside it.

    Retraining keeps the clusters and moves the centroids.

    Args:
        clusters: int, from 1 to 256.

    Raises:
        ValueError: if `clusters` is no positive integer, or more than 256.

    Reference: Ye et al., 2018, arXiv:1811.01907.
    """

    def __init__(self, clusters: int):
        self.clusters = positive("clusters", clusters)
        if clusters > MOST:
            raise ValueError(
                f"Invalid value for argument `clusters`. Expected at most {MOST}. "
                f"Received: clusters={clusters}"
            )

    def codes(self, w, among):
        flat, inside = ops.reshape(wide(w), (-1,)), ops.reshape(among, (-1,))
        every = _every(flat.shape[0], w.shape[-1])
        # PyTorch warns where it searches for values that lie apart.
        sample = ops.copy(flat[every]), inside[every]
        centroids = self._start(*sample)
        if every.step > 1:
            for _ in range(QUICK):
                centroids = self._lloyd(*sample, centroids)
        for _ in range(ROUNDS):
            centroids = self._lloyd(flat, inside, centroids)
        codes = blocks.joined(
            [
                ops.cast(_assign(flat[piece], inside[piece], centroids), w.dtype)
                for piece in _pieces(flat)
            ]
        )
        return ops.reshape(codes, w.shape)

    def restrict(self, w, settled):
        flat, codes = ops.reshape(wide(w), (-1,)), ops.reshape(settled, (-1,))
        means = ops.zeros((self.clusters + 1,), dtype=flat.dtype)
        # Sums of many are rounded; the next pass adds up what this one left.
        for _ in range(PASSES):
            sums, counts = self._sums(
                (flat[piece], _whole(codes[piece]), means) for piece in _pieces(flat)
            )
            means = means + sums / ops.maximum(counts, 1)
            # Code 0 is no cluster.
            means = ops.where(ops.arange(self.clusters + 1) > 0, means, 0)
        means = ops.cast(means, w.dtype)
        parts = [ops.take(means, _whole(codes[piece])) for piece in _pieces(flat)]
        return ops.reshape(blocks.joined(parts), w.shape)

    def _lloyd(self, flat, inside, centroids):
        """A round of Lloyd's algorithm: each centroid to the mean of its cluster."""
        means = ops.concatenate([ops.zeros_like(centroids[:1]), centroids])
        sums, counts = self._sums(
            (flat[piece], _assign(flat[piece], inside[piece], centroids), means)
            for piece in _pieces(flat)
        )
        # An empty cluster stays where it is.
        moved = centroids + sums[1:] / ops.maximum(counts[1:], 1)
        return ops.sort(moved)

    def _sums(self, parts):
        """Of each code, what its weights are beyond its mean in sum, and how many."""
        number = self.clusters + 1
        pairs = [
            (
                ops.segment_sum(x - ops.take(means, codes), codes, num_segments=number),
                ops.segment_sum(ops.ones_like(x), codes, num_segments=number),
            )
            for x, codes, means in parts
        ]
        return [sum(pair) for pair in zip(*pairs)]

    def get_config(self):
        return {"clusters": self.clusters}

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


def _every(count, period):
    """The sample that is sorted, as a slice of the weights."""
    return blocks.every(count, max(SORTED, count // blocks.PARTS), period)


def _pieces(flat):
    return blocks.rows((flat.shape[0], 1))


def _whole(codes):
    return ops.cast(codes, "int32")


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
