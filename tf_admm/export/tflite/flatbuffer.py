"""A TFLite file as the objects of its schema, and back."""

import numpy as np

#: As the file format asks.
ALIGNMENT = 16


def read(data):
    """The `ModelT` of the schema, from the bytes of a file."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(data, 0)


def operator_names(model):
    """Names of the operator codes of a `ModelT`; of custom ones, their own."""
    from ai_edge_litert import schema_py_generated as schema

    names = {
        code: name
        for name, code in vars(schema.BuiltinOperator).items()
        if isinstance(code, int)
    }
    return [
        (code.customCode or b"").decode()
        or names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        for code in model.operatorCodes
    ]


def operator_code(model, number, version):
    """The index of an operator code of a `ModelT`, made if need be.

    Args:
        model: the `ModelT`.
        number: of the operator, in `BuiltinOperator` of the schema.
        version: of the operator.
    """
    from ai_edge_litert import schema_py_generated as schema

    codes = model.operatorCodes
    for i, code in enumerate(codes):
        if (code.builtinCode, code.version) == (number, version):
            return i
    # Older readers have room for 127 operators.
    old = min(number, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    codes.append(
        schema.OperatorCodeT(
            deprecatedBuiltinCode=old, builtinCode=number, version=version
        )
    )
    return len(codes) - 1


def write(model):
    """The bytes of a file, without tensors and data that nothing refers to any more."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    for number, graph in enumerate(model.subgraphs):
        _drop_unused(model, number, graph)
    _empty_unused(model)
    model.buffers = [
        buffer if buffer.data is None else _AlignedBuffer(schema, buffer)
        for buffer in model.buffers
    ]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _drop_unused(model, number, graph):
    """Take out the tensors of a graph that nothing in the file refers to."""
    ends = [
        end
        for signature in model.signatureDefs or []
        if signature.subgraphIndex == number
        for end in (*(signature.inputs or []), *(signature.outputs or []))
    ]
    lists = [
        (holder, name)
        for holder, names in [
            (graph, ("inputs", "outputs")),
            *((o, ("inputs", "outputs", "intermediates")) for o in graph.operators),
        ]
        for name in names
        if getattr(holder, name) is not None
    ]
    used = {end.tensorIndex for end in ends}
    used |= {int(i) for holder, name in lists for i in getattr(holder, name)}
    kept = sorted(used - {-1})
    # An input that an operator goes without is -1.
    places = {-1: -1, **{old: new for new, old in enumerate(kept)}}
    graph.tensors = [graph.tensors[i] for i in kept]
    for end in ends:
        end.tensorIndex = places[end.tensorIndex]
    for holder, name in lists:
        new = [places[int(i)] for i in getattr(holder, name)]
        setattr(holder, name, np.array(new, "int32"))


def _empty_unused(model):
    """Drop the data of buffers that no tensor or metadata refers to."""
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or []}
    for i, buffer in enumerate(model.buffers):
        if i not in used:
            buffer.data = None


class _AlignedBuffer:
    """A buffer that packs its data aligned, which the generated class does not."""

    def __init__(self, schema, buffer):
        self._schema = schema
        self._buffer = buffer

    def Pack(self, builder):  # noqa: N802, the name that the schema calls
        data = np.ascontiguousarray(self._buffer.data, "uint8")
        builder.StartVector(1, len(data), ALIGNMENT)
        builder.head = builder.head - len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data.tobytes()
        vector = builder.EndVector()
        self._schema.BufferStart(builder)
        self._schema.BufferAddData(builder, vector)
        return self._schema.BufferEnd(builder)
