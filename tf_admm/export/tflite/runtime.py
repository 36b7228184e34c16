"""Running a TFLite file, and comparing it with what Keras says."""

import dataclasses
import warnings

import keras
import numpy as np

from tf_admm.export import exactness
from tf_admm.export.tflite import quirks
from tf_admm.export.tflite import states


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How far an output is from what was expected, and how far it may be."""

    difference: float
    tolerance: float

    @property
    def ratio(self):
        return self.difference / self.tolerance

    @property
    def agrees(self):
        return self.difference <= self.tolerance


def predict(model, signature, flat):
    """The nest of outputs of `model`, as float64 arrays.

    Stateful layers start afresh, and are as they were afterwards.

    Raises:
        ValueError: if the model doesn't take such inputs, or if an output is
            not finite.
    """
    try:
        with states.fresh(model), exactness.exact():
            outputs = model(signature.pack(flat), training=False)
    except Exception as error:
        raise ValueError(
            f"Expected model {model.name!r} to take one structure of inputs "
            f"of the shapes {[x.shape for x in flat]}, by Keras' account or "
            f"that of `samples`. Received: {error}"
        ) from error
    outputs = keras.tree.map_structure(_float64, outputs)
    if not all(np.isfinite(y).all() for y in keras.tree.flatten(outputs)):
        raise ValueError(
            f"Expected the outputs of model {model.name!r} on the samples to "
            "be finite. Received: NaN or infinity. If random inputs are not "
            "for this model, give `samples`; with dtype='int8' they are the first of "
            "`representative`."
        )
    return outputs


def batches(flat, size):
    """Batches of `size` rows; for None all rows at once, then the first."""
    if size is None:
        return [flat, [x[:1] for x in flat]]
    rows = range(0, len(flat[0]), size)
    return [[x[i : i + size] for x in flat] for i in rows]


def compare(data, names, cases, tolerance, on_average=False):
    """Runs a file with and without the default delegate.

    Inputs and outputs that the file has in int8 are converted by their scales and
    zero points. A file that keeps states starts afresh for each case.

    Args:
        data: the bytes of the file.
        names: `(inputs, outputs)`, the names in its signature.
        cases: list of `(inputs, outputs)`, flat lists of arrays.
        tolerance: largest difference allowed, relative to max(1, largest |output|).
        on_average: whether it is enough that the root mean square of the differences
            is within the tolerance, relative to that of the output.

    Returns:
        The `Comparison` of the output that differs most, as a multiple of what
        it may.

    Raises:
        RuntimeError, ValueError: if a runtime can't run the file.
    """
    return max(
        (
            compared(received, wanted, tolerance, on_average)
            for runner, inputs, expected in _runs(data, cases)
            for received, wanted in _outputs(runner, names, inputs, expected)
        ),
        key=lambda comparison: comparison.ratio,
    )


def _runs(data, cases):
    """Each case with and without the default delegate, with what runs it."""
    for make in _makers(data):
        runner = make()
        for i, (inputs, expected) in enumerate(cases):
            # LiteRT resets no variable that a file assigns.
            if i and quirks.has_states(data):
                runner = make()
            yield runner, inputs, expected


def _makers(data):
    """Functions that make runners, of an interpreter that has all operators."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.interpreter import OpResolverType

    flex = quirks.flex_operators(data)
    if flex:
        return [lambda: _flex_runner(data, flex)]
    return [
        lambda kind=kind: Interpreter(
            model_content=data, experimental_op_resolver_type=kind
        ).get_signature_runner()
        for kind in (
            OpResolverType.AUTO,
            OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    ]


def _flex_runner(data, names):
    """TensorFlow's own interpreter, with its delegate that runs these operators."""
    import tensorflow as tf

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is")
            interpreter = tf.lite.Interpreter(model_content=data)
        interpreter.allocate_tensors()
        return interpreter.get_signature_runner()
    except RuntimeError as error:
        raise RuntimeError(
            f"it needs TensorFlow's operators {', '.join(names)}, which no interpreter "
            f"that is installed here runs: TensorFlow {tf.__version__} comes without "
            "the Flex delegate, as all do from 2.20 on"
        ) from error


def _outputs(runner, names, inputs, expected):
    """Pairs of what the file and the model put out."""
    # By name: the positions of inputs and outputs in a file are arbitrary.
    sources, results = runner.get_input_details(), runner.get_output_details()
    given = {n: quantized(x, sources[n]) for n, x in zip(names[0], inputs)}
    received = runner(**given)
    for name, wanted in zip(names[1], expected):
        yield dequantized(received[name], results[name]), wanted


def quantized(x, detail):
    """`x` as a tensor of the file takes it: x / scale + zero point, if it has any."""
    scale, zero_point = detail["quantization"]
    if not scale:
        return x
    limits = np.iinfo(detail["dtype"])
    whole = np.round(np.asarray(x, "float64") / scale) + zero_point
    return np.clip(whole, limits.min, limits.max).astype(detail["dtype"])


def dequantized(x, detail):
    """What a tensor of the file says, as float64: (x - zero point) scale."""
    scale, zero_point = detail["quantization"]
    return (_float64(x) - zero_point) * (scale or 1.0)


def compared(received, expected, tolerance, on_average=False):
    """The `Comparison` of two float64 arrays, as `compare` has it."""
    allowed = tolerance * max(1.0, np.abs(expected).max(initial=0.0))
    if received.shape != expected.shape or not np.isfinite(received).all():
        return Comparison(np.inf, float(allowed))
    difference = np.abs(received - expected).max(initial=0.0)
    largest = Comparison(float(difference), float(allowed))
    if largest.agrees or not on_average:
        return largest
    average = Comparison(_size(received - expected), tolerance * _size(expected))
    return average if average.agrees else largest


def _size(y):
    """The root mean square."""
    return float(np.sqrt(np.mean(np.square(y))))


def _float64(tensor):
    return keras.ops.convert_to_numpy(tensor).astype("float64")
