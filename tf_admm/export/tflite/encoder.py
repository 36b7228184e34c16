"""The constants of a TFLite file, each in the cheapest form that its kernel runs.

Fully-connected kernels run sparse as they are: compressed rows and 1x4 blocks of
float32, 1x16 blocks of int8. To any other operator a sparse constant is made dense by
a DENSIFY, once, as the file is loaded: small on disk, dense in memory.
"""

import collections
import math

import numpy as np

from tf_admm.export.tflite import encoding
from tf_admm.export.tflite import flatbuffer

#: Operators, and which input of theirs is the kernel.
KERNELS = {
    "FULLY_CONNECTED": 1,
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 1,
    "TRANSPOSE_CONV": 1,
    "CONV_3D": 1,
    "GATHER": 0,
}
#: Those of them whose float16 kernels LiteRT's default delegate unpacks right.
OF_FLOAT16 = {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"}
DTYPES = {"FLOAT32": "float32", "FLOAT16": "float16", "INT8": "int8"}
#: Blocks of columns that fully-connected kernels run as they are.
BLOCKS = {"float32": 4, "int8": 16}
#: The version of FULLY_CONNECTED that takes sparse kernels.
SPARSE_VERSION = 8
#: Bytes of the tables that describe a DENSIFY, roughly.
DENSIFY_BYTES = 120


def encode(data, native=True):
    """A sparse file from a dense one.

    Args:
        data: bytes of a TFLite file without sparse constants.
        native: whether fully-connected kernels may be left sparse for the
            operator itself.

    Returns:
        The bytes of the file; the same if nothing is smaller sparse.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = flatbuffer.read(data)
    stored = [_Graph(schema, model, graph).encode(native) for graph in model.subgraphs]
    if not any(stored):
        return data
    return flatbuffer.write(model)


class _Graph:
    """One subgraph, whose constants are encoded in place."""

    def __init__(self, schema, model, graph):
        self._schema = schema
        self._model = model
        self._graph = graph
        self._types = {
            getattr(schema.TensorType, name): np.dtype(dtype)
            for name, dtype in DTYPES.items()
        }
        # New codes, of operators that are none of `KERNELS`, come after these.
        self._names = flatbuffer.operator_names(model)
        self._readers = _readers(graph)

    def encode(self, native):
        """Encode what is smaller sparse; returns how many constants were."""
        stored = 0
        for index, uses in list(self._constants()):
            array = self._array(self._graph.tensors[index])
            choices = [
                (form.bytes + densify * DENSIFY_BYTES, form, densify)
                for form, densify in _choices(array, uses, native)
            ]
            size, form, densify = min(
                choices, key=lambda c: c[0], default=(math.inf,) * 3
            )
            if size < array.nbytes:
                self._store(index, form, densify)
                stored += 1
        return stored

    def _constants(self):
        """Constants that are kernels and nothing else, with their operators."""
        for index in range(len(self._graph.tensors)):
            users = self._users(index)
            if (
                users
                and self._is_constant(self._graph.tensors[index])
                # An output must stay what it is.
                and index not in self._graph.outputs
                and all(KERNELS.get(name) == place for name, place in users)
            ):
                yield index, {name for name, _ in users}

    def _users(self, index):
        """Operators that read a tensor, and where; seen through DEQUANTIZE."""
        users = []
        for operator, place in self._readers[index]:
            name = self._name(operator)
            if name == "DEQUANTIZE":
                users += self._users(operator.outputs[0])
            else:
                users.append((name, place))
        return users

    def _name(self, operator):
        return self._names[operator.opcodeIndex]

    def _code(self, name, version):
        number = getattr(self._schema.BuiltinOperator, name)
        return flatbuffer.operator_code(self._model, number, version)

    def _is_constant(self, tensor):
        buffer = self._model.buffers[tensor.buffer]
        return (
            buffer.data is not None
            and len(buffer.data) > 0
            and tensor.type in self._types
            and tensor.sparsity is None
            and len(tensor.shape) > 1
            and not np.any(_zero_points(tensor))
        )

    def _array(self, tensor):
        data = np.asarray(self._model.buffers[tensor.buffer].data, "uint8")
        return data.view(self._types[tensor.type]).reshape(tensor.shape)

    def _store(self, index, form, densify):
        """Put the encoding in place of the constant, behind a DENSIFY if need be."""
        tensor = self._graph.tensors[index]
        data = np.frombuffer(form.values.tobytes(), "uint8")
        self._model.buffers.append(self._schema.BufferT(data=data))
        sparse = self._schema.TensorT(
            shape=tensor.shape,
            type=tensor.type,
            buffer=len(self._model.buffers) - 1,
            name=tensor.name,
            quantization=tensor.quantization,
            sparsity=form.sparsity,
            hasRank=tensor.hasRank,
        )
        if not densify:
            self._graph.tensors[index] = sparse
            self._mark(index)
            return
        self._graph.tensors.append(sparse)
        # What was the constant is now what DENSIFY makes: no data of its own.
        tensor.buffer = 0
        tensor.name = tensor.name + b"/dense"
        operator = self._schema.OperatorT(
            opcodeIndex=self._code("DENSIFY", 1),
            inputs=np.array([len(self._graph.tensors) - 1], "int32"),
            outputs=np.array([index], "int32"),
            builtinOptionsType=self._schema.BuiltinOptions.DensifyOptions,
            builtinOptions=self._schema.DensifyOptionsT(),
        )
        self._graph.operators.insert(0, operator)

    def _mark(self, index):
        """Give the operators of a sparse kernel the version that sparse ones have.

        By the version, delegates that know of no sparse kernels leave them alone;
        they would read beyond the end of the values.
        """
        for operator, _ in self._readers[index]:
            operator.opcodeIndex = self._code("FULLY_CONNECTED", SPARSE_VERSION)


def _readers(graph):
    """For each tensor, the operators that read it, and which input of theirs it is."""
    found = collections.defaultdict(list)
    for operator in graph.operators:
        for place, index in enumerate(operator.inputs):
            found[int(index)].append((operator, place))
    return found


def _choices(array, uses, native):
    """Pairs of an encoding, and whether a DENSIFY must follow it."""
    if uses == {"FULLY_CONNECTED"} and array.ndim == 2:
        width = BLOCKS.get(array.dtype.name)
        if native and width and array.shape[1] % width == 0:
            yield encoding.blocks(array, width), False
        if native and array.dtype == "float32":
            yield encoding.compressed(array, 1), False
            return
        if array.dtype == "int8":
            # LiteRT's default delegate can't prepare it behind a DENSIFY.
            return
    if array.dtype == "float16" and not uses <= OF_FLOAT16:
        return
    for axis in range(array.ndim):
        yield encoding.compressed(array, axis), True


def _zero_points(tensor):
    quantization = tensor.quantization
    points = None if quantization is None else quantization.zeroPoint
    return [] if points is None else points
