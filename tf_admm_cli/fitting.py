"""Arrays and a model: whether they fit, and what can be mended without guessing."""

import math

import numpy as np

from tf_admm_cli.problems import BadInput


def fitted(x, y, weights, reading):
    """Inputs and labels in the structures of the model's.

    Args:
        x: list of arrays, one for each input.
        y: list of arrays, one for each output, or `None`.
        weights: array of weights of rows, or `None`.
        reading: the `Reading`.

    Returns:
        `(x, y)`, `(x, y, weights)`, or `(x,)` where no labels are needed.

    Raises:
        BadInput: if shapes do not fit, rows differ, or values are no finite numbers.
    """
    name, spec = reading.name, reading.spec
    inputs = spec.inputs or {"x": None}
    x = [_shaped(name, *item, a) for item, a in zip(inputs.items(), x)]
    parts = {**dict(zip(inputs, x)), **_labelled(y), "sample_weight": weights}
    parts = {key: array for key, array in parts.items() if array is not None}
    for key, array in parts.items():
        _check_numbers(name, key, array)
    _check_rows(name, parts)
    if not reading.labels:
        return (spec.packed_inputs(x),)
    if len(y) > 1 or len(spec.outputs) <= 1:
        y = spec.packed_outputs(y)
    else:
        raise BadInput(
            name, f"Expected labels for {', '.join(spec.outputs)}. Received: y alone"
        )
    together = (spec.packed_inputs(x), y, weights)
    return together[:2] if weights is None else together


def _labelled(y):
    return {f"y{i or ''}": array for i, array in enumerate(y or [])}


def _shaped(name, key, shape, x):
    """`x` in the shape of an input: a missing axis of size 1, or flat rows."""
    if shape is None or _fits(x.shape, shape):
        return x
    if shape[-1] == 1 and _fits((*x.shape, 1), shape):
        return x[..., np.newaxis]
    sizes = shape[1:]
    if x.ndim == 2 and None not in sizes and x.shape[1] == math.prod(sizes):
        return x.reshape(-1, *sizes)
    wanted = ("rows", *(size or "any" for size in sizes))
    raise BadInput(
        name,
        f"Expected input {key} of shape ({', '.join(map(str, wanted))}). Received: "
        f"{x.shape}",
    )


def _fits(shape, wanted):
    return len(shape) == len(wanted) and all(
        want in (None, size) for size, want in zip(shape[1:], wanted[1:])
    )


def _check_numbers(name, key, array):
    if array.dtype.kind not in "biuf":
        raise BadInput(
            name, f"Expected numbers in {key}. Received: an array of {array.dtype}"
        )
    if array.ndim and array.dtype.kind == "f" and not np.isfinite(array).all():
        rows = array.reshape(len(array), -1)
        row = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise BadInput(
            name,
            f"Expected finite numbers. Received: NaN or infinity in row {row} of {key}",
        )


def _check_rows(name, parts):
    rows = {key: len(array) if array.ndim else 0 for key, array in parts.items()}
    if len(set(rows.values())) > 1 or not min(rows.values()):
        found = ", ".join(f"{count} in {key}" for key, count in rows.items())
        raise BadInput(
            name, f"Expected as many rows in all arrays, one or more. Received: {found}"
        )
