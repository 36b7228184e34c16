"""Quantisation levels with a free scale."""

import math
from collections.abc import Iterable

import keras
from keras import ops

from tf_admm.constraints import blocks
from tf_admm.constraints.base import ValueConstraint
from tf_admm.constraints.base import positive
from tf_admm.constraints.base import wide
from tf_admm.constraints.scales import Magnitudes
from tf_admm.constraints.scales import ratio
from tf_admm.constraints.scales import total

#: Weights of a column that a search over a grid looks at, about, and of a lone one;
#: and how many of the largest are always among them, since these may be cut.
ROWS, LONE, LARGEST = 2**12, 2**14, 2**6
#: Rounds of alternating least squares over all weights after it.
ROUNDS = 5


@keras.saving.register_keras_serializable(package="tf_admm")
class Levels(ValueConstraint):
    """Each weight is one of a few levels, times a scale of the kernel's own.

        S = {scale * q : q_i in levels, scale > 0}

    For a given scale the nearest q is the nearest level; for a given q the best
    scale is `<w, q> / <q, q>`. Which of the finitely many q is best is found
    exactly, by following the scale down from infinity: q changes where
    `|w_i| / scale` passes the middle of two levels, and the distance is least
    where `<w, q>^2 / <q, q>` is largest. Where more than 2^15 such places share a
    scale (weights, times 1 for ternary levels, 7 for 4 bits, 127 for 8), it is the
    best of a grid of scales, and of more of them around its best; in long columns, of
    a sample of the weights. Rounds of alternating least squares over all weights
    follow, from there and from the scale that makes the largest level the largest
    weight; the best end counts.

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

    def __init__(self, levels: Iterable[float], per_channel: bool = False):
        self.levels = _numbers(levels)
        self.per_channel = bool(per_channel)
        magnitudes = sorted({abs(level) for level in self.levels})
        mirrored = sorted(-level for level in self.levels)
        finite = all(map(math.isfinite, self.levels))
        if not any(magnitudes) or mirrored != self.levels or not finite:
            raise ValueError(
                "Invalid value for argument `levels`. Expected a list of finite "
                f"numbers, symmetric about 0, not all 0. Received: levels={levels}"
            )
        self._magnitudes = Magnitudes(magnitudes)

    @classmethod
    def binary(cls, per_channel: bool = False):
        """`{-1, 1}`."""
        return cls((-1, 1), per_channel)

    @classmethod
    def ternary(cls, per_channel: bool = False):
        """`{-1, 0, 1}`."""
        return cls((-1, 0, 1), per_channel)

    @classmethod
    def uniform(cls, bits: int, per_channel: bool = False):
        """Signed fixed-point numbers of so many bits, without the lowest.

        `{-(2^(bits-1) - 1), ..., 2^(bits-1) - 1}`.
        """
        top = 2 ** (_checked(bits) - 1) - 1
        return cls(range(-top, top + 1), per_channel)

    @classmethod
    def powers_of_two(cls, bits: int, per_channel: bool = False):
        """`{0, +-1, +-1/2, +-1/4, ...}`, `2^bits - 1` levels."""
        powers = [2.0**-i for i in range(2 ** (_checked(bits) - 1) - 1)]
        return cls([0.0, *powers, *(-p for p in powers)], per_channel)

    def codes(self, w, among):
        columns, inside = self._columns(wide(w)), self._columns(among)
        rows, count = columns.shape
        block = blocks.size_of(rows * count)
        wanted = ROWS if count > 1 else max(LONE, block)
        every = blocks.every(rows, wanted, w.shape[-1] if count == 1 else 1)
        width = self._magnitudes.width(rows, block)
        # Squares of tiny or huge weights are 0.0 or infinity.
        unit = ops.maximum(ops.max(columns), -ops.min(columns))
        unit = ops.where(unit > 0, unit, 1)

        def load(piece, part):
            """Magnitudes, and 1.0 where they count, of some rows of some columns."""
            counts = ops.cast(inside[piece, part], columns.dtype)
            return ops.abs(columns[piece, part]) / unit * counts, counts

        def codes_of(part):
            pieces = blocks.slices(rows, block)
            loaded = [lambda piece=piece: load(piece, part) for piece in pieces]
            starts = self._magnitudes.starts(*self._sample(loaded, every))
            exact = self._magnitudes.is_exact(rows)
            scale = starts[0] if exact else self._best(starts, loaded)
            return blocks.joined(
                [
                    self._signed(columns[piece, part], *load(piece, part), scale)
                    for piece in pieces
                ]
            )

        parts = [codes_of(part) for part in blocks.slices(count, width)]
        codes = blocks.joined(parts, axis=1)
        return ops.cast(ops.reshape(codes, w.shape), w.dtype)

    def _sample(self, loaded, every):
        """What the search looks at, and for how many weights each of these stands.

        Everything, if that is little, or if the search can be exact.
        """
        if len(loaded) == 1 and every.step == 1:
            return loaded[0]()
        parts = [_thinned(*load(), every) for load in loaded]
        return [ops.concatenate(part) for part in zip(*parts)]

    def _best(self, starts, loaded):
        """Of the ends of alternating least squares, the one of least distance.

        Args:
            starts: list of scales; the widest is one more.
            loaded: list of functions that return pieces of the columns.
        """
        largest = [ops.max(load()[0], axis=0, keepdims=True) for load in loaded]
        widest = ops.max(ops.concatenate(largest), axis=0, keepdims=True)
        widest = widest / self._magnitudes.values[-1]
        best, least = widest, float("inf")
        for start in (*starts, widest):
            scales = [start]
            for _ in range(ROUNDS):
                scale = scales[-1]
                dot, square, distance = self._fit(loaded, scale)
                scales.append(ratio(dot, square))
                # What is left once the scale is that of the new q.
                distance = distance - ops.square(scales[-1] - scale) * square
                best = ops.where(distance < least, scale, best)
                least = ops.minimum(distance, least)
                if len(scales) == 3:
                    scales = [_limit(*scales)]
        return best

    def _fit(self, loaded, scale):
        parts = [self._magnitudes.fit(*load(), scale) for load in loaded]
        return [sum(part) for part in zip(*parts)]

    def _signed(self, w, size, among, scale):
        q = self._magnitudes.nearest(size, scale) * among
        return ops.where(w < 0, -q, q)

    def restrict(self, w, settled):
        columns = self._columns(wide(w))
        q = ops.cast(self._columns(settled), columns.dtype)
        dot, square = (
            sum(total(x[piece] * q[piece]) for piece in blocks.rows(q.shape))
            for x in (columns, q)
        )
        scale = ratio(dot, square)
        return ops.cast(ops.reshape(scale * q, w.shape), w.dtype)

    def get_config(self):
        return {"levels": self.levels, "per_channel": self.per_channel}

    def _columns(self, w):
        """One column for each scale."""
        return ops.reshape(w, (-1, w.shape[-1] if self.per_channel else 1))


def _limit(a, b, c):
    """Where three scales that near a limit in proportion lead (Aitken)."""
    bend = (c - b) - (b - a)
    limit = a - ops.square(b - a) / ops.where(bend != 0, bend, 1)
    near = ops.logical_and(limit > 0.9 * c, limit < 1.1 * c)
    return ops.where(near, limit, c)


def _thinned(size, among, every):
    """The largest weights, and some of the others for all of these."""
    number = min(LARGEST, size.shape[0])
    largest, _ = ops.top_k(ops.transpose(size), number)
    largest = ops.transpose(largest)
    others = ops.cast(size < largest[-1:], size.dtype)
    weight = total(among * others)
    size, among = size[every], (among * others)[every]
    among = among * ratio(weight, total(among))
    return (
        ops.concatenate([largest, size]),
        ops.concatenate([ops.cast(largest > 0, size.dtype), among]),
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
