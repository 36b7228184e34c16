"""What the kept weights of a kernel cost: nonzeros, bytes, multiplications."""

from tf_admm.structure import uses

#: Names of weights that a layer takes rows from.
READ_BY_ROWS = ("embeddings", "position_embeddings")


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
    bytes, as their range needs. Tables of embeddings, which are read by rows, TFLite
    stores dense, zeros and all. An estimate: the file has a few kilobytes besides, and
    of weights by other names it is not known how they are read.
    """

    unit = "bytes"

    def __init__(self, model, samples=None):
        pass

    def __call__(self, kernel, kept):
        if kernel.variable.name in READ_BY_ROWS:
            return 4 * kernel.size
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
        return kept * self._uses.get(id(kernel.variable), 0)


def _width(count):
    """Bytes of an unsigned number below `count`."""
    return 1 if count <= 2**8 else 2 if count <= 2**16 else 4
