"""TFLite files of models that are not on TensorFlow."""

import dataclasses

from tf_admm import files
from tf_admm.export import elsewhere
from tf_admm.export.tflite import conversion
from tf_admm.export.tflite import runtime
from tf_admm.structure.precision import float32_compute


def to_tflite(write, model, path, signature, flat, sparse, precision):
    """Let the other process write the file, and compare it with the model here.

    Args:
        write: what the other process does it by.
        model: the Keras model.
        path: the file to write.
        signature: its `Signature`.
        flat: list of inputs to compare on.
        sparse: whether to try sparse storage.
        precision: the `Precision` of the weights.

    Returns:
        The `ExportReport`.

    Raises:
        RuntimeError: as the public `to_tflite`.
    """
    with files.replacing(path) as temporary:
        report = elsewhere.call(
            write,
            model,
            temporary,
            path,
            example=signature.example(),
            names=signature.names,
            flat=flat,
            sparse=sparse,
            precision=precision,
        )
        with open(temporary, "rb") as file:
            data = file.read()
        with float32_compute(model):
            cases, names = conversion.cases(model, signature, flat, report.batch)
        found = runtime.compare(
            data, names, cases, precision.tolerance, precision.on_average
        )
        if not found.agrees:
            raise RuntimeError(
                f"Expected model {model.name!r} to convert to a TFLite file that "
                "agrees with it. Received: one whose outputs differ by "
                f"{found.difference:.2e} (allowed: {found.tolerance:.2e}) from those "
                "of the backend that it is on. Nothing was written."
            )
    return dataclasses.replace(
        report, path=path, max_difference=found.difference, tolerance=found.tolerance
    )
