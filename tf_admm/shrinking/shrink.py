"""A model without its dead units, computing the same."""

import dataclasses

import keras
import numpy as np
from rich.table import Table

from tf_admm.shrinking import graph
from tf_admm.structure import uses
from tf_admm.structure.tracing import float32_compute
from tf_admm.structure.tracing import trace

#: Largest difference allowed, relative to max(1, largest |output|).
TOLERANCE = 1e-4
#: Random samples that both models are run on.
SAMPLES = 4


@dataclasses.dataclass(frozen=True)
class ShrinkReport:
    """What `shrink` has done.

    Attributes:
        units: dict from paths of kernels to `(left, total)` units.
        parameters: of the new model.
        total_parameters: of the model it was made from.
        stopped: names of layers that all of their channels stay at, since nothing
            is known of what they do to them.
        max_difference: the largest difference of the outputs on random samples.
    """

    units: dict
    parameters: int
    total_parameters: int
    stopped: tuple
    max_difference: float

    def __rich__(self):
        table = Table("kernel", title="Shrunk")
        for name in ("units left", "of"):
            table.add_column(name, justify="right")
        for name, (left, total) in self.units.items():
            table.add_row(name, f"{left:,}", f"{total:,}")
        table.add_section()
        table.add_row(
            "parameters", f"{self.parameters:,}", f"{self.total_parameters:,}"
        )
        if self.stopped:
            table.caption = f"All channels stay at: {', '.join(self.stopped)}"
        return table


def shrink(model):
    """Make a plain Keras model without the units that are dead in this one.

    A unit is dead if nothing that is live reads it, or if it depends on nothing
    that is live and so is the same number for every input; that number goes into
    the biases of what reads it. Found from the zeros of the weights as they are.

    It works through Dense, Conv, transposed, depthwise and separable layers,
    pooling, Flatten, Reshape, BatchNormalization, activations, Add and its like,
    Concatenate and zero padding, in functional graphs with branches, nested and
    shared layers. At any other layer, and where a nested model begins, all channels
    stay. Inputs and outputs keep their shapes.

    Args:
        model: a built functional or sequential model, its inputs of known size.

    Returns:
        `(small, report)`: the new model, not compiled, and a `ShrinkReport`.

    Raises:
        ValueError: if the model is another, or a layer can't be made from its
            config, such as a `Lambda`.
        RuntimeError: if the new model does not compute the same.
    """
    with float32_compute(model):
        found = graph.Graph(model, trace(model))
    small = _rebuilt(model, found)
    difference = _difference(model, small)
    report = ShrinkReport(
        units=found.units(),
        parameters=small.count_params(),
        total_parameters=model.count_params(),
        stopped=found.stopped(),
        max_difference=difference,
    )
    return small, report


def _rebuilt(model, found):
    """A clone with smaller layers."""
    made = []

    def smaller(operation):
        config, change = operation.get_config(), found.change(operation)
        if change is not None:
            config = change.config(config)
        made.append((operation, type(operation).from_config(config)))
        return made[-1][1]

    small = keras.models.clone_model(model, clone_function=smaller, recursive=True)
    for old, new in made:
        # What stands between layers (`x * 2`) is no layer, and has no weights.
        if isinstance(old, keras.Layer):
            change = found.change(old)
            new.set_weights(old.get_weights() if change is None else change.weights())
    return small


def _difference(model, small):
    rng = np.random.default_rng(0)
    x = keras.tree.map_structure(
        lambda zero: _random(rng, zero.shape[1:], zero.dtype), uses.zeros(model)
    )
    with float32_compute(model), float32_compute(small):
        outputs = [keras.tree.flatten(m(x, training=False)) for m in (model, small)]
    differences = [0.0]
    for a, b in zip(*outputs):
        a, b = np.array(a, "float64"), np.array(b, "float64")
        differences.append(np.abs(a - b).max(initial=0.0))
        if not differences[-1] <= TOLERANCE * max(1.0, np.abs(a).max(initial=0.0)):
            raise RuntimeError(
                "Expected the model without its dead units to compute the same. "
                f"Received: outputs that differ by {differences[-1]:.2e}. Please "
                f"report this, with the config of '{model.name}'."
            )
    return float(max(differences))


def _random(rng, shape, dtype):
    if keras.backend.is_float_dtype(keras.backend.standardize_dtype(dtype)):
        return keras.ops.cast(rng.standard_normal((SAMPLES, *shape)), dtype)
    return keras.ops.cast(rng.integers(0, 2, (SAMPLES, *shape)), dtype)
