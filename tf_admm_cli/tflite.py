"""A TFLite file, run by LiteRT and judged by Keras."""

import keras
import numpy as np

from tf_admm_cli import data
from tf_admm_cli import objective
from tf_admm_cli import problems
from tf_admm_cli.problems import BadInput
from tf_admm_cli.spec import of_details

#: Rows that a file is run on at once, where it takes any number.
ROWS = 64


def evaluated(given):
    """Metrics, the name of the part they are of, and its number of rows."""
    path = given.arguments[0]
    runner, inputs, outputs = _signature(path)
    spec = of_details(inputs, outputs)
    if spec.classes is None:
        raise BadInput(
            "MODEL_OR_TFLITE",
            "Expected a TFLite file of one output (`tf-admm report` with its .keras "
            f"file measures others). Received: {path}, of {', '.join(outputs)}",
        )
    mode = "binary" if spec.classes == 1 else "int"
    reading = data.Reading(
        "DATA", spec, given.target, given.scale, given.seed, label_mode=mode, whole=True
    )
    found = data.load(given.arguments[1:], reading)
    name = found.held_out
    x, y = _arrays(getattr(found, name))
    answers = _answers(runner, inputs, outputs, x)
    return _judged(answers, y, spec, given), name, found.rows[name]


def _signature(path):
    from ai_edge_litert.interpreter import Interpreter

    try:
        runner = Interpreter(path).get_signature_runner()
        return runner, runner.get_input_details(), runner.get_output_details()
    except Exception as error:  # noqa: BLE001, whatever a broken file leads to
        raise BadInput(
            "MODEL_OR_TFLITE",
            "Expected a TFLite file with a signature that LiteRT can run. Received: "
            f"{path} ({problems.last_line(error)})",
        ) from error


def _arrays(part):
    if isinstance(part, tuple):
        return part[:2]
    xs, ys = zip(*((x.numpy(), y.numpy()) for x, y in part))
    return np.concatenate(xs), np.concatenate(ys)


def _answers(runner, inputs, outputs, x):
    """The one output for all rows, as floats."""
    flat = dict(zip(inputs, keras.tree.flatten(x), strict=True))
    fixed = next(iter(inputs.values()))["shape_signature"][0]
    size = ROWS if fixed < 0 else int(fixed)
    ((name, result),) = outputs.items()
    rows = len(next(iter(flat.values())))
    found = []
    for start in range(0, rows - rows % size if fixed > 0 else rows, size):
        batch = {
            key: _stored(array[start : start + size], inputs[key])
            for key, array in flat.items()
        }
        found.append(_real(runner(**batch)[name], result))
    return np.concatenate(found)


def _stored(x, detail):
    """`x` as the file takes it: in int8 by a scale and a zero point, or as it is."""
    scale, zero_point = detail["quantization"]
    if not scale:
        return x.astype(detail["dtype"])
    limits = np.iinfo(detail["dtype"])
    whole = np.round(x / scale) + zero_point
    return np.clip(whole, limits.min, limits.max).astype(detail["dtype"])


def _real(y, detail):
    scale, zero_point = detail["quantization"]
    return (y.astype("float32") - zero_point) * scale if scale else y


def _judged(answers, y, spec, given):
    """Keras' metric of answers and labels, by a model that passes answers on."""
    y = y[: len(answers)]
    loss = objective.named(given.loss, answers) if given.loss else None
    loss = loss or objective.inferred(answers, y)
    judge = keras.Sequential([keras.Input(answers.shape[1:]), keras.layers.Identity()])
    objective.compile_by(judge, loss, given.metric)
    objective.check_labels(y, judge.loss, spec)
    found = objective.evaluated(judge, (answers, y))
    # The loss of a file is none that it was trained by.
    shown = {name: value for name, value in found.items() if name != "loss"}
    return found if given.metric == "loss" or not shown else shown
