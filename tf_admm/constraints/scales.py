"""The scale at which a few levels are nearest to weights."""

from keras import ops

from tf_admm.constraints.base import widest

#: Places of a column, its weights times the steps between levels. Up to so many the
#: exact search tries them all; in longer columns it tries scales on a grid.
PLACES = 2**15
#: Scales on the grid, more of them for finer levels, and how many of the best are
#: looked at closer, at so many scales around each.
GRID, FINER, KEPT, CLOSER = 32, 1.75, 3, 12
#: The grid's end, above the scale that makes the largest level the largest weight; no
#: level below this part of the largest is made the largest weight.
ABOVE, PART = 1.3, 0.5
#: Levels that the grid is made for; more of them are too fine to matter.
MOST = 128


class Magnitudes:
    """Levels without their signs, and the search for their scale.

    Weights come as `size`, their magnitudes, one column for each scale, and `among`,
    how often each counts: 1.0, or 0.0 where it doesn't; in a sample, for how many it
    stands.

    Args:
        values: sorted list of floats from 0.0 up.

    Attributes:
        jumps: int, steps between the values.
        grid: int, scales that are tried where there are too many places.
    """

    def __init__(self, values):
        self.values = values
        self.jumps = len(values) - 1
        self._gaps = [high - low for low, high in zip(values, values[1:])]
        self._even = len(set(self._gaps)) == 1
        finest = values[-1] / self._gaps[-1] if self._gaps else 1
        self.grid = GRID + round(FINER * min(finest, MOST))

    def nearest(self, size, scale):
        """The magnitude nearest to `size / scale`; halfway, the lower one."""
        x = size / ops.where(scale > 0, scale, 1)
        if not self.jumps:
            return ops.full_like(x, self.values[0])
        if self._even:
            low, gap = self.values[0], self._gaps[0]
            steps = ops.ceil(x - (low + gap / 2) if gap == 1 else (x - low) / gap - 0.5)
            steps = ops.clip(steps, 0, self.jumps)
            return steps if (low, gap) == (0, 1) else low + gap * steps
        middles = [(a + b) / 2 for a, b in zip(self.values, self.values[1:])]
        middles, values = (
            ops.convert_to_tensor(numbers, dtype=x.dtype)
            for numbers in (middles, self.values)
        )
        index = ops.searchsorted(middles, ops.reshape(x, (-1,)))
        return ops.reshape(ops.take(values, index), x.shape)

    def is_exact(self, rows):
        """Whether all places of a column of so many weights are tried."""
        return rows * max(self.jumps, 1) <= PLACES

    def width(self, rows, block):
        """How many columns of so many weights are searched at a time."""
        if self.is_exact(rows):
            block = min(block, max(PLACES, 4 * block) // max(self.jumps, 1))
        return block // rows

    def fit(self, size, among, scale):
        """`<w, q>`, `<q, q>` and `||w - scale q||^2` of the nearest q, by column."""
        q = self.nearest(size, scale)
        rest = size - scale * q
        counted = q * among
        return total(size * counted), total(q * counted), total(rest * rest * among)

    def widest(self, size):
        """The scale at which the largest level is the largest weight."""
        return ops.max(size, axis=0, keepdims=True) / self.values[-1]

    def starts(self, size, among):
        """List of scales that may be the best; one of them is if the search is exact.

        Args:
            size, among: tensors `(weights, columns)`; of many weights, a sample.
        """
        if self.is_exact(size.shape[0]):
            return [self._exact(size, among)]
        return self._of_grid(size, among)

    def _exact(self, size, among):
        """The scale at which `<w, q>^2 / <q, q>` is largest, for each column."""
        rows, low = size.shape[0], self.values[0]
        # <w, q> and <q, q> at an infinite scale, and what each jump adds to them.
        products = [low * total(size * among)]
        squares = [low**2 * total(among)]
        if self.jumps:
            pairs = list(zip(self.values, self.values[1:]))
            at = ops.concatenate([size * (-2 / (low + high)) for low, high in pairs])
            order = ops.argsort(at, axis=0)
            row, jump = order % rows, order // rows
            gaps, of_squares = (
                ops.take(ops.convert_to_tensor(steps, dtype=size.dtype), jump)
                for steps in (self._gaps, [b * b - a * a for a, b in pairs])
            )
            products.append(_along(size * among, row) * gaps)
            squares.append(_along(among, row) * of_squares)
        products, squares = (
            ops.cumsum(widest(ops.concatenate(x)), axis=0) for x in (products, squares)
        )
        best = ops.argmax(ratio(products**2, squares), axis=0, keepdims=True)
        scale = ratio(_along(products, best), _along(squares, best))
        return ops.cast(scale, size.dtype)

    def _of_grid(self, size, among):
        largest = ops.max(size, axis=0, keepdims=True)
        mean = total(size) / ops.maximum(total(among), 1)
        largest, mean = (ops.where(largest > 0, x, 1) for x in (largest, mean))
        # The largest of several levels is beyond the mean.
        low = ops.minimum(mean * min(2, max(self.jumps, 1)), largest / 2)
        low = low / self.values[-1]
        spread = ABOVE * largest / self.values[-1] / low
        scales = [low * spread ** (i / (self.grid - 1)) for i in range(self.grid)]
        least = PART * self.values[-1]
        scales += [largest / value for value in self.values if value > least]
        best = self._best(size, among, ops.stack(scales))
        steps = [(2 * i / (CLOSER - 1) - 1) / (self.grid - 1) for i in range(CLOSER)]
        closer = ops.concatenate(
            [best * ops.expand_dims(spread, 0) ** s for s in steps]
        )
        return ops.unstack(self._best(size, among, closer)[:2], 2)

    def _best(self, size, among, scales):
        """The scales `(number, 1, columns)` of least distance."""

        def distance(scale):
            rest = size - scale * self.nearest(size, scale)
            return total(rest * rest * among)

        distances = ops.map(distance, scales)
        return _along(scales, ops.argsort(distances, axis=0)[:KEPT])


def total(x):
    """The sum of each column."""
    return ops.sum(x, axis=0, keepdims=True)


def ratio(a, b):
    """`a / b`, and 0.0 where b is 0.0."""
    return ops.where(b > 0, a, 0) / ops.where(b > 0, b, 1)


def _along(values, order):
    return ops.take_along_axis(values, order, axis=0)
