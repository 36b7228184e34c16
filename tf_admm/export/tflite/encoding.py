"""How TFLite stores a sparse array: the values, and where they are.

An axis is dense, or compressed: for each place along the axes before it, the
indices of what is not zero, and the segments of the list that belong to each.
"""

import dataclasses
from typing import Any

import numpy as np

#: Bytes of the tables that describe a sparse tensor, roughly.
OVERHEAD = 200


@dataclasses.dataclass(frozen=True)
class Encoding:
    """A sparse array.

    Attributes:
        values: what is stored, in the order of traversal.
        sparsity: where it belongs, a `SparsityParametersT`.
        bytes: what both take, roughly.
    """

    values: np.ndarray
    sparsity: Any
    bytes: int


def compressed(array, axis):
    """All axes dense but one, which is traversed last and compressed."""
    order = [i for i in range(array.ndim) if i != axis] + [axis]
    moved = np.moveaxis(array, axis, -1)
    rows = moved.reshape(-1, moved.shape[-1])
    kept = rows != 0
    dense = [_dense(size) for size in moved.shape[:-1]]
    last, size = _sparse(kept)
    return _encoding(rows[kept], order, [], [*dense, last], size)


def blocks(array, width):
    """A matrix of rows, in blocks of so many columns of one row."""
    rows, columns = array.shape
    split = array.reshape(rows, columns // width, width)
    kept = (split != 0).any(axis=-1)
    middle, size = _sparse(kept)
    axes = [_dense(rows), middle, _dense(width)]
    return _encoding(split[kept].ravel(), [0, 1, 2], [1], axes, size)


def _encoding(values, order, block_map, axes, size):
    from ai_edge_litert import schema_py_generated as schema

    sparsity = schema.SparsityParametersT(
        traversalOrder=np.array(order, "int32"),
        blockMap=np.array(block_map, "int32"),
        dimMetadata=axes,
    )
    return Encoding(values, sparsity, values.nbytes + size + OVERHEAD)


def _dense(size):
    from ai_edge_litert import schema_py_generated as schema

    return schema.DimensionMetadataT(
        format=schema.DimensionType.DENSE, denseSize=int(size)
    )


def _sparse(kept):
    """The compressed axis of a boolean matrix, and its bytes."""
    from ai_edge_litert import schema_py_generated as schema

    segments = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    indices = np.nonzero(kept)[1]
    segments_type, segments = _vector(segments)
    indices_type, indices = _vector(indices)
    axis = schema.DimensionMetadataT(
        format=schema.DimensionType.SPARSE_CSR,
        arraySegmentsType=segments_type,
        arraySegments=segments,
        arrayIndicesType=indices_type,
        arrayIndices=indices,
    )
    return axis, segments.values.nbytes + indices.values.nbytes


def _vector(numbers):
    """Whole numbers in as few bytes as the largest needs."""
    from ai_edge_litert import schema_py_generated as schema

    largest = numbers.max(initial=0)
    kinds = schema.SparseIndexVector
    for kind, vector, dtype in (
        (kinds.Uint8Vector, schema.Uint8VectorT, "uint8"),
        (kinds.Uint16Vector, schema.Uint16VectorT, "uint16"),
        (kinds.Int32Vector, schema.Int32VectorT, "int32"),
    ):
        if largest <= np.iinfo(dtype).max:
            return kind, vector(numbers.astype(dtype))
    raise ValueError(f"Expected fewer than 2^31 weights. Received: {largest}")
