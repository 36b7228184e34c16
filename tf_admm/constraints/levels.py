"""Quantisation levels with a free scale."""

import math

import keras
from keras import ops

from tf_admm.constraints.base import ValueConstraint
from tf_admm.constraints.base import positive
from tf_admm.constraints.base import wide
from tf_admm.constraints.selection import unit_scale

#: Candidates of the exact search for the scale; of larger kernels it looks at a
#: sample.
CANDIDATES = 2**20
#: Weights of a column that the sample holds at least.
ROWS = 1024
#: Rounds of alternating least squares after it.
ROUNDS = 4


@keras.saving.register_keras_serializable(package="tf_admm")
class Levels(ValueConstraint):
    """Each weight is one of a few levels, times a scale of the kernel's own.

        S = {scale * q : q_i in levels, scale > 0}

    For a given scale the nearest q is the nearest level; for a given q the best
    scale is `<w, q> / <q, q>`. Which of the finitely many q is best is found
    exactly, by following the scale down from infinity: q changes where
    `|w_i| / scale` passes the middle of two levels, and the distance is least
    where `<w, q>^2 / <q, q>` is largest. In kernels with more than 2^20 such
    places, of a sample. Rounds of alternating least squares over all follow, from
    there and from the scale that makes the largest level the largest weight; the
    better end counts.

    Retraining keeps q and moves the scale.

    Args:
        levels: list of numbers, symmetric about 0.
        per_channel: bool, whether each output unit has a scale of its own.

    Raises:
        ValueError: if `levels` is empty, all zero, or not symmetric.

    Example:

    >>> ternary = tf_admm.constraints.Levels.ternary()
    >>> np.round(np.array(ternary(np.array([[1.0, -3.0, 2.6, 0.2]]))), 3).tolist()
    [[0.0, -2.8, 2.8, 0.0]]

    References: Leng et al., 2018, arXiv:1707.09870 (alternating least squares);
    ADMM-NN, Ren et al., 2019, arXiv:1812.11677.
    """

    def __init__(self, levels, per_channel=False):
        self.levels = _numbers(levels)
        self.per_channel = bool(per_channel)
        self._magnitudes = sorted({abs(level) for level in self.levels})
        mirrored = sorted(-level for level in self.levels)
        finite = all(map(math.isfinite, self.levels))
        if not any(self._magnitudes) or mirrored != self.levels or not finite:
            raise ValueError(
                "Invalid value for argument `levels`. Expected a list of finite "
                f"numbers, symmetric about 0, not all 0. Received: levels={levels}"
            )

    @classmethod
    def binary(cls, per_channel=False):
        """`{-1, 1}`."""
        return cls((-1, 1), per_channel)

    @classmethod
    def ternary(cls, per_channel=False):
        """`{-1, 0, 1}`."""
        return cls((-1, 0, 1), per_channel)

    @classmethod
    def uniform(cls, bits, per_channel=False):
        """Signed fixed-point numbers of so many bits, without the lowest.

        `{-(2^(bits-1) - 1), ..., 2^(bits-1) - 1}`.
        """
        top = 2 ** (_checked(bits) - 1) - 1
        return cls(range(-top, top + 1), per_channel)

    @classmethod
    def powers_of_two(cls, bits, per_channel=False):
        """`{0, +-1, +-1/2, +-1/4, ...}`, `2^bits - 1` levels."""
        powers = [2.0**-i for i in range(2 ** (_checked(bits) - 1) - 1)]
        return cls([0.0, *powers, *(-p for p in powers)], per_channel)

    def codes(self, w, among):
        columns = self._columns(unit_scale(w))
        among = ops.cast(self._columns(among), columns.dtype)
        size = ops.abs(columns) * among
        starts = self._search(size, among), self._widest(size)
        (q, distance), (other, others) = (
            self._alternate(size, among, scale) for scale in starts
        )
        q = ops.where(distance <= others, q, other)
        q = ops.where(columns < 0, -q, q)
        return ops.cast(ops.reshape(q, w.shape), w.dtype)

    def restrict(self, w, settled):
        columns = self._columns(wide(w))
        q = ops.cast(self._columns(settled), columns.dtype)
        scale = _ratio(_total(columns * q), _total(q * q))
        return ops.cast(ops.reshape(scale * q, w.shape), w.dtype)

    def get_config(self):
        return {"levels": self.levels, "per_channel": self.per_channel}

    def _widest(self, size):
        """The scale at which the largest level is the largest weight."""
        return ops.max(size, axis=0, keepdims=True) / self._magnitudes[-1]

    def _alternate(self, size, among, scale):
        """Least squares from a scale: the q, and its squared distance."""
        for _ in range(ROUNDS):
            q = self._nearest(size, scale) * among
            scale = _ratio(_total(size * q), _total(q * q))
        q = self._nearest(size, scale) * among
        rest = size - _ratio(_total(size * q), _total(q * q)) * q
        return q, _total(rest * rest)

    def _columns(self, w):
        """One column for each scale."""
        return ops.reshape(w, (-1, w.shape[-1] if self.per_channel else 1))

    def _middles(self):
        pairs = zip(self._magnitudes, self._magnitudes[1:])
        return [(low + high) / 2 for low, high in pairs]

    def _nearest(self, size, scale):
        """The magnitude of the level nearest to `size / scale`."""
        steps = zip(self._middles(), self._magnitudes, self._magnitudes[1:])
        q = ops.full_like(size, self._magnitudes[0])
        for middle, low, high in steps:
            q = q + (high - low) * ops.cast(size > middle * scale, q.dtype)
        return q

    def _sample(self, size, among):
        """Every so many-th of each column in order of size, if there are many."""
        rows, columns = size.shape
        jumps = max(len(self._magnitudes) - 1, 1)
        stride = min(-(-rows * columns * jumps // CANDIDATES), max(rows // ROWS, 1))
        if stride == 1:
            return size, among
        # Those that don't count come last, so that none takes another's place.
        order = ops.argsort(-ops.where(among > 0, size, -1.0), axis=0)[::stride]
        return _along(size, order), _along(among, order)

    def _search(self, size, among):
        """The scale at which `<w, q>^2 / <q, q>` is largest, for each column."""
        size, among = self._sample(size, among)
        jumps = len(self._magnitudes) - 1
        lowest = self._magnitudes[0]
        # <w, q> and <q, q> at an infinite scale, and what each jump adds to them.
        products = [lowest * _total(size)]
        squares = [lowest**2 * _total(among)]
        if jumps:
            steps = zip(self._middles(), self._magnitudes, self._magnitudes[1:])
            at, dot, square = zip(
                *(
                    (size / middle, size * (high - low), among * (high**2 - low**2))
                    for middle, low, high in steps
                )
            )
            order = ops.argsort(-ops.concatenate(at), axis=0)
            products.append(_along(ops.concatenate(dot), order))
            squares.append(_along(ops.concatenate(square), order))
        products = ops.cumsum(ops.concatenate(products), axis=0)
        squares = ops.cumsum(ops.concatenate(squares), axis=0)
        best = ops.argmax(_ratio(products**2, squares), axis=0)
        best = ops.expand_dims(best, 0)
        return _ratio(
            _along(products, best),
            _along(squares, best),
        )


def _checked(bits):
    if positive("bits", bits) < 2:
        raise ValueError(
            "Invalid value for argument `bits`. Expected at least 2, for a level "
            f"besides 0. Received: bits={bits}"
        )
    return bits


def _numbers(levels):
    """As sorted floats; none if they are no list of numbers."""
    try:
        return sorted(float(level) for level in levels)
    except (TypeError, ValueError):
        return []


def _along(values, order):
    return ops.take_along_axis(values, order, axis=0)


def _total(x):
    """The sum of each column."""
    return ops.sum(x, axis=0, keepdims=True)


def _ratio(a, b):
    """`a / b`, and 0.0 where b is 0.0."""
    return ops.where(b > 0, a, 0) / ops.where(b > 0, b, 1)
