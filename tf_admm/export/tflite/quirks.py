"""What LiteRT and its converter can't do with some files."""

from tf_admm.export.tflite import flatbuffer

#: Of TensorFlow's operators.
LOOPS = {"While", "StatelessWhile", "Enter"}
#: Operators whose second input is a kernel.
WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")


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


def kills(data):
    """Names of the tensors of int8 whose making may end the process.

    LiteRT checks that the terms of sums and squared differences are small beside the
    result's scale, and gives up the process if not. XNNPACK takes no product of a
    scale that is 256 times the result's, and may free memory twice as it says so. The
    scale is next to nothing where the representative data never made the result
    anything but one number, as of a unit that is dead behind a relu.
    """
    model = flatbuffer.read(data)
    names = flatbuffer.operator_names(model)
    return [
        graph.tensors[operator.outputs[0]].name.decode()
        for graph in model.subgraphs
        for operator in graph.operators
        if _is_too_large(graph, operator, names[operator.opcodeIndex])
    ]


def _is_too_large(graph, operator, name):
    if name in WEIGHTED:
        x, w, result = (
            _scale(graph, i) for i in (*operator.inputs[:2], operator.outputs[0])
        )
        return None not in (x, w, result) and x * w >= 2**8 * result
    scales = [_scale(graph, i) for i in (*operator.inputs, *operator.outputs)]
    if name not in ("ADD", "SUB", "SQUARED_DIFFERENCE") or None in scales:
        return False
    *terms, result = scales
    twice = 2 * max(terms)
    if name == "SQUARED_DIFFERENCE":
        return twice**2 >= 2**14 * result
    return twice >= 2**20 * result


def _scale(graph, index):
    """That of an int8 tensor, the largest if there are several, or `None`."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = graph.tensors[index]
    is_int8 = tensor.type == schema.TensorType.INT8
    return float(max(tensor.quantization.scale)) if is_int8 else None
