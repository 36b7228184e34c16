"""One graph of a TFLite file, with what a rule needs to change it."""

import collections
import copy

import numpy as np

from tf_admm.export.tflite import flatbuffer

#: By the names of the file format.
DTYPES = {"FLOAT32": "float32", "INT8": "int8", "INT32": "int32", "INT64": "int64"}
#: Of operators whose options aren't called as they are.
OPTIONS = {
    "MAXIMUM": "MaximumMinimumOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
}


class Editor:
    """A subgraph and the model that it is in.

    Args:
        model: the `ModelT`.
        graph: one of its subgraphs.
    """

    def __init__(self, model, graph):
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.model = model
        self.graph = graph
        self._types = {getattr(schema.TensorType, k): k for k in DTYPES}
        self._made = {}
        self.look()

    def look(self):
        """See who makes and who reads each tensor, after a change."""
        self._names = flatbuffer.operator_names(self.model)
        self.makers, self.readers = {}, collections.defaultdict(list)
        for operator in self.graph.operators:
            for index in operator.outputs:
                self.makers[int(index)] = operator
            for index in operator.inputs:
                self.readers[int(index)].append(operator)
        for index in self.graph.outputs:
            self.readers[int(index)].append(None)

    # What is there.

    def name(self, operator):
        return self._names[operator.opcodeIndex]

    def tensor(self, index):
        return self.graph.tensors[int(index)]

    def maker(self, index, name):
        """The operator of this name that makes a tensor, or `None`."""
        operator = self.makers.get(int(index))
        is_it = operator is not None and self.name(operator) == name
        return operator if is_it else None

    def only_reader(self, index):
        """The one operator that reads a tensor, or `None`."""
        readers = self.readers[int(index)]
        return readers[0] if len(readers) == 1 else None

    def dtype(self, index):
        """The name of the type of a tensor, one of `DTYPES` or another."""
        return self._types.get(self.tensor(index).type, "OTHER")

    def shape(self, index):
        """Its sizes; -1 for those that the file leaves open."""
        tensor = self.tensor(index)
        known = tensor.shapeSignature
        sizes = tensor.shape if known is None or not len(known) else known
        return tuple(map(int, [] if sizes is None else sizes))

    def constant(self, index):
        """The array of a constant, or `None`; quantized ones as they are stored."""
        tensor = self.tensor(index)
        data = self.model.buffers[tensor.buffer].data
        if data is None or tensor.type not in self._types or tensor.sparsity:
            return None
        dtype = DTYPES[self._types[tensor.type]]
        shape = tuple(map(int, [] if tensor.shape is None else tensor.shape))
        return np.asarray(data, "uint8").view(dtype).reshape(shape)

    def is_constant(self, index):
        """Whether it is one, maybe stored as float16."""
        behind = self.maker(index, "DEQUANTIZE")
        tensor = self.tensor(index if behind is None else behind.inputs[0])
        return self.model.buffers[tensor.buffer].data is not None

    def quantization(self, index):
        """`(scale, zero point)` of a tensor that has one of each, or `None`."""
        found = self.tensor(index).quantization
        scales = None if found is None else found.scale
        if scales is None or len(scales) != 1:
            return None
        return float(scales[0]), int(found.zeroPoint[0])

    def dequantized(self, index):
        """The numbers that a quantized constant stands for, in float32, or `None`."""
        array, found = self.constant(index), self.tensor(index).quantization
        if array is None or found is None or found.scale is None:
            return None
        shape = [-1 if i == found.quantizedDimension else 1 for i in range(array.ndim)]
        scale, zero_point = (
            np.reshape(x, shape).astype("float64")
            for x in (found.scale, found.zeroPoint)
        )
        return (scale * (array - zero_point)).astype("float32")

    def floats_of(self, operator):
        """The tensor in float32 that an operator makes int8 of, or `None`."""
        if operator is None or self.name(operator) != "QUANTIZE":
            return None
        (x,) = map(int, operator.inputs)
        return x if self.dtype(x) == "FLOAT32" else None

    # What is new.

    def like(self, index, name, quantization=None, shape=None, dtype=None):
        """A new tensor of the type of another, and as large if nothing is said.

        Args:
            index: of the other.
            name: what it is called.
            quantization: its scale and zero point, if any.
            shape: sizes, -1 where they are open.
            dtype: another type, by its name.
        """
        tensor = copy.copy(self.tensor(index))
        tensor.name = name
        tensor.quantization = quantization and self._parameters(*quantization)
        if dtype is not None:
            tensor.type = getattr(self.schema.TensorType, dtype)
        if shape is not None:
            tensor.shape = np.array([max(n, 1) for n in shape], "int32")
            tensor.shapeSignature = np.array(shape, "int32") if -1 in shape else None
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def add_constant(self, array, name, quantization=None):
        """A constant, new if there is no such yet.

        Args:
            array: its values, whole numbers if they are quantized.
            name: what a new one is called.
            quantization: scale and zero point; the scale may be an array, of one for
                each entry of the first axis.
        """
        kinds = {dtype: kind for kind, dtype in DTYPES.items()}
        kind, data = kinds[array.dtype.name], array.tobytes()
        scale, zero_point = quantization or ((), 0)
        key = (kind, array.shape, data, np.float64(scale).tobytes(), zero_point)
        if key in self._made:
            return self._made[key]
        buffer = self.schema.BufferT(data=np.frombuffer(data, "uint8"))
        self.model.buffers.append(buffer)
        tensor = self.schema.TensorT(
            shape=np.array(array.shape, "int32"),
            type=getattr(self.schema.TensorType, kind),
            buffer=len(self.model.buffers) - 1,
            name=name,
            hasRank=True,
        )
        if quantization is not None:
            tensor.quantization = self._parameters(scale, zero_point)
        self.graph.tensors.append(tensor)
        self._made[key] = len(self.graph.tensors) - 1
        return self._made[key]

    def _parameters(self, scale, zero_point):
        scales = np.atleast_1d(np.asarray(scale, "float32"))
        return self.schema.QuantizationParametersT(
            scale=scales,
            zeroPoint=np.full(len(scales), zero_point, "int64"),
            quantizedDimension=0,
        )

    def operator(self, name, inputs, outputs, version):
        """A new operator, with the options that it has if nothing is said."""
        kind = OPTIONS.get(name, f"{name.title()}Options")
        number = getattr(self.schema.BuiltinOperator, name)
        return self.schema.OperatorT(
            opcodeIndex=flatbuffer.operator_code(self.model, number, version),
            inputs=np.array(inputs, "int32"),
            outputs=np.array(outputs, "int32"),
            builtinOptionsType=getattr(self.schema.BuiltinOptions, kind),
            builtinOptions=getattr(self.schema, f"{kind}T")(),
        )

    def plain(self, name, inputs, outputs):
        """A new operator of version 1 that has no options."""
        number = getattr(self.schema.BuiltinOperator, name)
        return self.schema.OperatorT(
            opcodeIndex=flatbuffer.operator_code(self.model, number, 1),
            inputs=np.array(inputs, "int32"),
            outputs=np.array(outputs, "int32"),
        )

    # What changes.

    def replace(self, operator, others):
        """Put operators in the place of one."""
        operators = list(self.graph.operators)
        place = next(i for i, o in enumerate(operators) if o is operator)
        operators[place : place + 1] = others
        self.graph.operators = operators
        self.look()

    def drop_unread(self, names):
        """Take out the operators of these names that nothing reads."""
        while True:
            kept = [
                o
                for o in self.graph.operators
                if self.name(o) not in names
                or any(self.readers[int(i)] for i in o.outputs)
            ]
            if len(kept) == len(self.graph.operators):
                return
            self.graph.operators = kept
            self.look()
