"""What LiteRT and its converter can't do with some files."""

from tf_admm.export.tflite import flatbuffer

#: Of TensorFlow's operators.
LOOPS = {"While", "StatelessWhile", "Enter"}


def has_loops(graph):
    """Whether a `GraphDef` has a loop, as recurrent layers have, in it or below."""
    functions = {f.signature.name: f.node_def for f in graph.library.function}
    nodes, seen = list(graph.node), set()
    while nodes:
        node = nodes.pop()
        if node.op in LOOPS:
            return True
        called = {f.name for a in node.attr.values() for f in (a.func, *a.list.func)}
        for name in (called | {node.op}) & functions.keys() - seen:
            seen.add(name)
            nodes.extend(functions[name])
    return False


def has_states(data):
    """Whether a file keeps something from one run to the next."""
    return "ASSIGN_VARIABLE" in flatbuffer.operator_names(flatbuffer.read(data))


def flex_operators(data):
    """Names of TensorFlow's operators in a file, which only its delegate runs."""
    names = flatbuffer.operator_names(flatbuffer.read(data))
    return sorted(name for name in names if name.startswith("Flex"))


def float_ends(data):
    """Names of the inputs and outputs of a file that are float32."""
    from ai_edge_litert import schema_py_generated as schema

    graph = flatbuffer.read(data).subgraphs[0]
    ends = {int(i): graph.tensors[i] for i in (*graph.inputs, *graph.outputs)}
    return [
        tensor.name.decode()
        for tensor in ends.values()
        if tensor.type == schema.TensorType.FLOAT32
    ]


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
