"""What the kept weights of a kernel cost: nonzeros, bytes, multiplications."""

from tf_admm.structure import uses


class Nonzeros:
    """The number of weights kept."""

    unit = "nonzeros"

    def __init__(self, model, samples=None):
        pass

    def __call__(self, kernel, kept):
        return kept


class Bytes:
    """Bytes of a float32 kernel in a TFLite file, dense or sparse, whichever is less.

    Sparse are four bytes a weight, its place in a row of one output (and one
    position), and where each row begins; places and beginnings in 1, 2 or 4
    bytes, as their range needs. An estimate: the file has a few kilobytes
    besides.
    """

    unit = "bytes"

    def __init__(self, model, samples=None):
        pass

    def __call__(self, kernel, kept):
        columns = kernel.shape[-2]
        rows = kernel.size // columns
        sparse = kept * (4 + _width(columns)) + (rows + 1) * _width(kept + 1)
        return min(4 * kernel.size, sparse)


class MACs:
    """Multiplications of one sample: kept weights, times the places they are used."""

    unit = "multiplications"

    def __init__(self, model, samples=None):
        self._uses = uses.uses(model, samples)

    def __call__(self, kernel, kept):
        return kept * self._uses[id(kernel.variable)]


def _width(count):
    """Bytes of an unsigned number below `count`."""
    return 1 if count <= 2**8 else 2 if count <= 2**16 else 4
