"""Running a TFLite file, and comparing it with what Keras says."""

import dataclasses

import keras
import numpy as np


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

    Raises:
        ValueError: if the model doesn't take such inputs, or if an output is
            not finite.
    """
    try:
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
            "for this model, give `samples`."
        )
    return outputs


def batches(flat, size):
    """Batches of `size` rows; for None all rows at once, then the first."""
    if size is None:
        return [flat, [x[:1] for x in flat]]
    rows = range(0, len(flat[0]), size)
    return [[x[i : i + size] for x in flat] for i in rows]


def compare(data, names, cases, tolerance):
    """Runs a file with and without the default delegate.

    Args:
        data: the bytes of the file.
        names: `(inputs, outputs)`, the names in its signature.
        cases: list of `(inputs, outputs)`, flat lists of arrays.
        tolerance: largest difference allowed, relative to max(1, largest |output|).

    Returns:
        The `Comparison` of the output that differs most, as a multiple of what
        it may.

    Raises:
        RuntimeError, ValueError: if a runtime can't run the file.
    """
    return max(
        (
            comparison
            for runner in _runners(data)
            for inputs, expected in cases
            for comparison in _differences(runner, names, inputs, expected, tolerance)
        ),
        key=lambda comparison: comparison.ratio,
    )


def _runners(data):
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.interpreter import OpResolverType

    for resolver in (
        OpResolverType.AUTO,
        OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    ):
        interpreter = Interpreter(
            model_content=data, experimental_op_resolver_type=resolver
        )
        yield interpreter.get_signature_runner()


def _differences(runner, names, inputs, expected, tolerance):
    # By name: the positions of inputs and outputs in a file are arbitrary.
    received = runner(**dict(zip(names[0], inputs)))
    for name, wanted in zip(names[1], expected):
        yield _compare(_float64(received[name]), wanted, tolerance)


def _compare(received, expected, tolerance):
    tolerance = tolerance * max(1.0, np.abs(expected).max(initial=0.0))
    if received.shape != expected.shape or not np.isfinite(received).all():
        return Comparison(np.inf, float(tolerance))
    difference = np.abs(received - expected).max(initial=0.0)
    return Comparison(float(difference), float(tolerance))


def _float64(tensor):
    return keras.ops.convert_to_numpy(tensor).astype("float64")
