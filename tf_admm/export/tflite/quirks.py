"""What LiteRT and its converter can't do with some files."""

from tf_admm.export.tflite import flatbuffer


def has_loops(data):
    """Whether a file has a loop, as recurrent layers have."""
    from ai_edge_litert import schema_py_generated as schema

    model = flatbuffer.read(data)
    codes = {max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes}
    return schema.BuiltinOperator.WHILE in codes


def fails_without_avx(data):
    """Whether a file has what LiteRT can't prepare on processors without AVX.

    XNNPACK's sparse path, which x86 processors with AVX don't take, fails on a mean
    over positions that a convolution follows, as in `GlobalAveragePooling2D(
    keepdims=True)` and a 1x1 Conv2D for a head.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = flatbuffer.read(data)
    floats = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
    return any(
        _has_sparse(graph, floats) and _means_into_convolution(schema, model, graph)
        for graph in model.subgraphs
    )


def _has_sparse(graph, types):
    """Whether a kernel of four axes is stored sparse."""
    return any(
        tensor.sparsity is not None and len(tensor.shape) == 4 and tensor.type in types
        for tensor in graph.tensors
    )


def _means_into_convolution(schema, model, graph):
    kinds = [model.operatorCodes[o.opcodeIndex].builtinCode for o in graph.operators]
    means = {
        int(index)
        for kind, operator in zip(kinds, graph.operators)
        if kind == schema.BuiltinOperator.MEAN
        for index in operator.outputs
    }
    return any(
        kind == schema.BuiltinOperator.CONV_2D and int(operator.inputs[0]) in means
        for kind, operator in zip(kinds, graph.operators)
    )
