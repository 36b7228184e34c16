"""All rules, each where it applies, until none does."""

from tf_admm.export.tflite import flatbuffer
from tf_admm.export.tflite.rewriting import dense
from tf_admm.export.tflite.rewriting import depthwise
from tf_admm.export.tflite.rewriting import int8
from tf_admm.export.tflite.rewriting import masks
from tf_admm.export.tflite.rewriting import narrow
from tf_admm.export.tflite.rewriting import shapes
from tf_admm.export.tflite.rewriting.editor import Editor

#: By the name of the operator: functions of the editor and the operator, to the
#: operators that take its place, or `None`.
SIMPLER = (
    ("FULLY_CONNECTED", dense.keep_axes),
    ("RESHAPE", shapes.reshape),
    ("ADD", dense.add_bias),
    ("STRIDED_SLICE", narrow.narrow),
    ("SOFTMAX", masks.softmax),
    *((name, masks.near) for name in masks.BEHIND),
)
#: Those for kernels that are slow in LiteRT; other runtimes may have better ones.
FOR_LITERT = (
    ("HARD_SWISH", int8.hard_swish),
    ("SQUARED_DIFFERENCE", int8.squared_difference),
    ("RELU", int8.relu),
    ("RELU6", int8.relu6),
    ("PRELU", int8.prelu),
    ("RSQRT", int8.rsqrt),
    ("DEPTHWISE_CONV_2D", depthwise.in_float),
    ("CONV_2D", depthwise.in_float),
    ("DEPTHWISE_CONV_2D", depthwise.split),
    ("CONV_2D", depthwise.split),
)


def faster(data, for_litert=True):
    """A file that computes the same in less time; the same bytes if nothing would.

    Args:
        data: bytes of a TFLite file without sparse constants.
        for_litert: whether operators may be split where LiteRT's own kernels are slow,
            which takes memory for what is between the parts.
    """
    model = flatbuffer.read(data)
    rules = SIMPLER + FOR_LITERT * for_litert
    editors = [Editor(model, graph) for graph in model.subgraphs]
    if not sum(_rewrite(editor, rules) for editor in editors):
        return data
    return flatbuffer.write(model)


def _rewrite(editor, rules):
    """Apply the rules; returns how often one did."""
    done = 0
    for name, rule in rules:
        for operator in list(editor.graph.operators):
            if editor.name(operator) != name:
                continue
            others = rule(editor, operator)
            if others is not None:
                editor.replace(operator, others)
                done += 1
    names = {*masks.BETWEEN, *shapes.EVALUATED, *narrow.ELEMENTWISE}
    editor.drop_unread({*names, "DEQUANTIZE", "QUANTIZE"})
    return done
