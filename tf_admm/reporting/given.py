"""What a report is asked about, checked before any work."""

import numpy as np

from tf_admm.export.tflite.signature import Signature
from tf_admm.reporting.judging import Judge
from tf_admm.structure import checks
from tf_admm.structure.tracing import symbolic_inputs


def checked(model, data, metric, samples, representative):
    """The judge of files, what they are compared on, and one row to time.

    Returns:
        `(judge, samples, row)`: a `Judge`, or `None` without data; inputs in the
        model's structure, or `None` for random ones; and a flat list of arrays.

    Raises:
        TypeError, ValueError: if an argument is not as `report` has it.
    """
    checks.check_built(model)
    checks.check_floats(model)
    symbolic_inputs(model)
    signature = Signature(model)
    if data is None and metric is not None:
        raise ValueError(
            f"Expected `data` to measure `metric` on. Received: metric={metric!r}, "
            "and no data"
        )
    if representative is not None:
        signature.flatten(representative, "representative")
    flat = None if samples is None else signature.flatten(samples)
    judge = None if data is None else Judge(model, data, metric, signature.batch)
    if flat is None and judge is not None:
        flat = signature.match(judge.rows)
    if flat is None:
        return None, None, _zeros(model, signature)
    size = signature.batch or 1
    return judge, signature.pack(flat), [x[:size] for x in flat]


def _zeros(model, signature):
    """One row, or as many as the model insists on, of zeros."""
    shapes = [(signature.batch or 1, *shape[1:]) for shape in signature.shapes]
    if any(None in shape for shape in shapes):
        raise ValueError(
            "Expected `samples`, or `data`, to say the sizes to measure at. Received: "
            f"neither, and the model '{model.name}' with inputs of the shapes "
            f"{dict(zip(signature.names, signature.shapes))}"
        )
    return [np.zeros(shape, dtype) for shape, dtype in zip(shapes, signature.dtypes)]
