"""NumPy twins of the library, each as dumb as can be."""

import itertools
import math

import numpy as np


def kept_naive(sparsity, size):
    return size - round(sparsity * size)


def sparsity_naive(w, kept):
    """Keep the `kept` first entries of a sort by (-|w|, index)."""
    flat = np.ravel(w)
    order = sorted(range(flat.size), key=lambda i: (-abs(float(flat[i])), i))
    result = np.zeros_like(flat)
    for i in order[:kept]:
        result[i] = flat[i]
    return result.reshape(np.shape(w))


def distance(w, z):
    return float(np.sum(np.square(np.asarray(w, "float64") - np.asarray(z, "float64"))))


# A set as the tests see it: `count(shape)`, the nonzeros of a member of nonzero
# weights; `supports(shape)`, all that its members can be; `project(w)`.


class Masks:
    """Base: what follows from `supports` alone, by trying all of them."""

    def nearest(self, w):
        """The least squared distance of `w` to a member."""
        return min(distance(w, np.where(s, w, 0)) for s in self.supports(w.shape))

    def member(self, z):
        nonzero = z != 0
        return any(not (nonzero & ~s).any() for s in self.supports(z.shape))

    def count(self, shape):
        return max(s.sum() for s in self.supports(shape))


class Units(Masks):
    """A fraction of units is zero; `label(index, shape)` is the unit of an entry."""

    def __init__(self, sparsity, label):
        self.sparsity = sparsity
        self.label = label

    def units(self, shape):
        """The entries of each unit, units in the order of their first entry."""
        units = {}
        for index in np.ndindex(*shape):
            units.setdefault(self.label(index, shape), []).append(index)
        return list(units.values())

    def kept(self, shape):
        return kept_naive(self.sparsity, len(self.units(shape)))

    def supports(self, shape):
        for units in itertools.combinations(self.units(shape), self.kept(shape)):
            yield _support(shape, units)

    def project(self, w):
        def norm(unit):
            return sum(float(w[index]) ** 2 for index in unit)

        units = sorted(self.units(w.shape), key=lambda unit: -norm(unit))
        return np.where(_support(w.shape, units[: self.kept(w.shape)]), w, 0)

    def member(self, z):
        alive = [any(z[index] != 0 for index in unit) for unit in self.units(z.shape)]
        return sum(alive) <= self.kept(z.shape)


class NOfM(Masks):
    """n of m consecutive entries along an axis."""

    def __init__(self, n, m, axis):
        self.n, self.m, self.axis = n, m, axis

    def groups(self, shape):
        groups = {}
        for index in np.ndindex(*shape):
            key = list(index)
            key[self.axis] //= self.m
            groups.setdefault(tuple(key), []).append(index)
        return list(groups.values())

    def supports(self, shape):
        choices = [itertools.combinations(g, self.n) for g in self.groups(shape)]
        for chosen in itertools.product(*choices):
            yield _support(shape, chosen)

    def project(self, w):
        kept = [
            sorted(group, key=lambda i: (-abs(float(w[i])), i))[: self.n]
            for group in self.groups(w.shape)
        ]
        return np.where(_support(w.shape, kept), w, 0)

    def member(self, z):
        alive = [sum(z[i] != 0 for i in group) for group in self.groups(z.shape)]
        return max(alive) <= self.n

    def count(self, shape):
        return len(self.groups(shape)) * self.n


class Patterns(Masks):
    """One pattern a 2D kernel, a fraction of kernels all zero."""

    def __init__(self, library, connectivity):
        self.library = [np.array(p, bool) for p in library]
        self.connectivity = connectivity

    def supports(self, shape):
        pairs = list(np.ndindex(*shape[-2:]))
        kept = kept_naive(self.connectivity, len(pairs))
        for alive in itertools.combinations(pairs, kept):
            for patterns in itertools.product(self.library, repeat=kept):
                support = np.zeros(shape, bool)
                for pair, pattern in zip(alive, patterns):
                    support[(..., *pair)] = pattern
                yield support

    def project(self, w):
        best = {}
        for pair in np.ndindex(*w.shape[-2:]):
            squares = np.square(w[(..., *pair)].astype("float64"))
            norms = [float(squares[p].sum()) for p in self.library]
            best[pair] = (-max(norms), pair, self.library[np.argmax(norms)])
        kept = kept_naive(self.connectivity, len(best))
        support = np.zeros(w.shape, bool)
        for _, pair, pattern in sorted(best.values(), key=lambda b: b[:2])[:kept]:
            support[(..., *pair)] = pattern
        return np.where(support, w, 0)

    def member(self, z):
        alive = 0
        for pair in np.ndindex(*z.shape[-2:]):
            nonzero = z[(..., *pair)] != 0
            if not any(not (nonzero & ~p).any() for p in self.library):
                return False
            alive += nonzero.any()
        return alive <= kept_naive(self.connectivity, int(np.prod(z.shape[-2:])))

    def count(self, shape):
        pairs = int(np.prod(shape[-2:]))
        return kept_naive(self.connectivity, pairs) * int(self.library[0].sum())


class Scaled:
    """Levels times a scale, one for all or one for each last index."""

    def __init__(self, levels, per_channel=False):
        self.levels, self.per_channel = levels, per_channel

    def columns(self, w):
        flat = np.asarray(w, "float64").reshape(-1, w.shape[-1])
        return list(flat.T) if self.per_channel else [flat.ravel()]

    def nearest(self, w):
        return sum(self._nearest(column) for column in self.columns(w))

    def _nearest(self, w):
        best = distance(w, 0)
        for q in itertools.product(self.levels, repeat=w.size):
            q = np.array(q, float)
            if q.any():
                best = min(best, distance(w, max(0, w @ q / (q @ q)) * q))
        return best

    def member(self, z):
        return all(self._member(column) for column in self.columns(z))

    def _member(self, z):
        """Whether the largest is some level, and all others then are."""
        top = np.abs(z).max()
        scales = [top / abs(level) for level in self.levels if level]
        return any(
            np.abs(z[:, None] - scale * np.array(self.levels)).min(1).max()
            <= 1e-5 * top
            for scale in scales
        )


class FewValues:
    """At most so many distinct values."""

    def __init__(self, clusters):
        self.clusters = clusters

    def nearest(self, w):
        w = np.asarray(w, "float64").ravel()
        best = math.inf
        for code in itertools.product(range(self.clusters), repeat=w.size):
            parts = [w[np.array(code) == k] for k in range(self.clusters)]
            best = min(best, sum(distance(p, p.mean()) for p in parts if p.size))
        return best

    def member(self, z):
        return len(np.unique(z)) <= self.clusters


class Both:
    """A set of masks, and values on each support of it."""

    def __init__(self, masks, values):
        self.masks, self.values = masks, values

    def nearest(self, w):
        """Exact where any support could be best; see `Intersection`."""
        return min(
            distance(w[~s], 0) + self.values.nearest(w[s][:, None])
            for s in self.masks.supports(w.shape)
        )

    def member(self, z):
        inside = z[z != 0]
        return self.masks.member(z) and (
            not inside.size or self.values.member(inside[:, None])
        )


def _support(shape, units):
    support = np.zeros(shape, bool)
    for unit in units:
        for index in unit:
            support[index] = True
    return support


def penalty(w, z, u, rho):
    total = 0.0
    for a, b, c in zip(np.ravel(w), np.ravel(z), np.ravel(u)):
        total += (float(a) - float(b) + float(c)) ** 2
    return rho / 2 * total


def penalty_gradient(w, z, u, rho):
    return rho * (w - z + u)


def residuals(w, z, previous, rho):
    """The four residuals; the tensors of each list make one long vector."""
    w, z, previous = (
        np.concatenate([np.ravel(t).astype("float64") for t in tensors])
        for tensors in (w, z, previous)
    )
    primal = math.sqrt(sum((w - z) ** 2))
    dual = math.sqrt(sum((z - previous) ** 2))
    size_w, size_z = math.sqrt(sum(w**2)), math.sqrt(sum(z**2))
    return primal, rho * dual, primal / max(size_w, size_z), dual / size_z


def geometric(start, end, t):
    return math.exp((1 - t) * math.log(start) + t * math.log(end))


def cosine(start, end, t):
    """Half a period of a cosine from `start` down or up to `end`."""
    middle, swing = (start + end) / 2, (start - end) / 2
    return middle + swing * math.cos(math.pi * t)


def restricted_lstsq(a, b, support):
    """argmin 1/2 ||a w - b||^2 with w zero outside of a boolean `support`."""
    w = np.zeros((a.shape[1], b.shape[1]))
    for j in range(b.shape[1]):
        rows = np.flatnonzero(support[:, j])
        w[rows, j] = np.linalg.lstsq(a[:, rows], b[:, j], rcond=None)[0]
    return w


def dependent_outputs(layer, kernel, x):
    """For each entry of a kernel, which outputs change when it is moved.

    Returns:
        Boolean array of the shape of the kernel, then of the output features:
        all leading axes of the output (batch, positions) are reduced.
    """
    weights = np.array(kernel)
    rank = len(layer.compute_output_shape(x.shape))
    before = np.array(layer(x))
    rows = []
    for index in np.ndindex(*weights.shape):
        moved = weights.copy()
        moved[index] += 1.0
        kernel.assign(moved)
        changed = ~np.isclose(np.array(layer(x)), before, rtol=0, atol=1e-4)
        rows.append(changed)
    kernel.assign(weights)
    assert rows[0].ndim == rank
    return np.reshape(rows, (*weights.shape, *before.shape))


def dependent_inputs(layer, kernel, x):
    """The same, for which entries of `x` an entry of the kernel multiplies."""
    weights = np.array(kernel)
    rows = []
    for index in np.ndindex(*weights.shape):
        alone = np.zeros_like(weights)
        alone[index] = 1.0
        kernel.assign(alone)
        seen = np.zeros(x.shape, dtype=bool)
        for place in np.ndindex(*x.shape):
            spike = np.zeros_like(x)
            spike[place] = 1.0
            seen[place] = np.abs(np.array(layer(spike))).max() > 1e-6
        rows.append(seen)
    kernel.assign(weights)
    return np.reshape(rows, (*weights.shape, *x.shape))
