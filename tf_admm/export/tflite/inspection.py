"""What is in a TFLite file: its constants, and how each is stored."""

import dataclasses
import os

import numpy as np
from rich.table import Table

from tf_admm.export.tflite import flatbuffer

#: Names of encodings by the number of axes that a sparse tensor has too many.
ENCODINGS = {0: "compressed rows", 1: "blocks"}


@dataclasses.dataclass(frozen=True)
class Constant:
    """One constant of a file.

    Attributes:
        name: of the tensor.
        shape: tuple, in the file's axis order.
        dtype: what its values are.
        encoding: `"dense"`, `"compressed rows"` or `"blocks"`.
        bytes: of its values and their places.
        zeros: fraction of its entries that are zero.
    """

    name: str
    shape: tuple
    dtype: str
    encoding: str
    bytes: int
    zeros: float


class Inspection:
    """The constants of a TFLite file.

    Attributes:
        path: the file.
        bytes: its size.
        constants: list of `Constant`, the largest first.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        with open(path, "rb") as file:
            data = file.read()
        self.bytes = len(data)
        try:
            found = list(_constants(data))
        except Exception as error:  # noqa: BLE001, whatever a broken file leads to
            raise ValueError(
                f"Expected a TFLite file. Received: path={self.path!r}, of "
                f"{self.bytes:,} bytes, which can't be read: {error}"
            ) from error
        self.constants = sorted(found, key=lambda constant: -constant.bytes)

    def __rich__(self):
        table = Table("tensor", "shape", "type", "encoding", title=self.path)
        table.add_column("bytes", justify="right")
        table.add_column("zeros", justify="right")
        for constant in self.constants:
            table.add_row(
                constant.name.split(";")[0],
                str(constant.shape),
                constant.dtype,
                constant.encoding,
                f"{constant.bytes:,}",
                f"{constant.zeros:.2%}",
            )
        table.add_section()
        total = sum(constant.bytes for constant in self.constants)
        table.add_row("all constants", "", "", "", f"{total:,}")
        table.add_row("file", "", "", "", f"{self.bytes:,}")
        return table


def inspect(path: str | os.PathLike) -> Inspection:
    """Read what a TFLite file stores, and how.

    Args:
        path: the file.

    Returns:
        An `Inspection`, which rich prints as a table.

    Raises:
        OSError: if there is no such file.
        ValueError: if it is no TFLite file.
    """
    return Inspection(path)


def _constants(data):
    from ai_edge_litert import schema_py_generated as schema

    if data[4:8] != b"TFL3":
        raise ValueError("it does not begin as one")
    model = flatbuffer.read(data)
    types = {
        number: name.lower()
        for name, number in vars(schema.TensorType).items()
        if isinstance(number, int)
    }
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            values = model.buffers[tensor.buffer].data
            values = np.zeros(0, "uint8") if values is None else np.asarray(values)
            # A kernel of zeros only is stored without values.
            if len(values) or tensor.sparsity is not None:
                yield _constant(tensor, values, types[tensor.type])


def _constant(tensor, values, dtype):
    shape = tuple(map(int, tensor.shape))
    size = int(np.prod(shape))
    encoding, places = "dense", 0
    if tensor.sparsity is not None:
        axes = tensor.sparsity.dimMetadata
        encoding = ENCODINGS[len(axes) - len(shape)]
        places = sum(
            vector.values.nbytes
            for axis in axes
            for vector in (axis.arraySegments, axis.arrayIndices)
            if vector is not None and vector.values is not None
        )
    try:
        nonzeros = np.count_nonzero(values.view(np.dtype(dtype)))
    except TypeError:
        nonzeros = size
    return Constant(
        tensor.name.decode(),
        shape,
        dtype,
        encoding,
        values.nbytes + places,
        1 - nonzeros / max(size, 1),
    )
