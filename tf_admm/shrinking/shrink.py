"""A model without its dead units, computing the same."""

import contextlib
import dataclasses
from typing import Any

import keras
import numpy as np
from rich.table import Table

from tf_admm.printing import Printed
from tf_admm.printing import shown
from tf_admm.shrinking import graph
from tf_admm.shrinking.rebuilding import rebuilt
from tf_admm.structure import checks
from tf_admm.structure import kernels
from tf_admm.structure import seeds
from tf_admm.structure.channels import Channels
from tf_admm.structure.precision import float32_compute
from tf_admm.structure.tracing import symbolic_inputs
from tf_admm.structure.tracing import trace

#: Largest difference allowed, relative to max(1, largest |output|).
TOLERANCE = 1e-4
#: Random samples that both models are run on.
SAMPLES = 2
#: Sizes of axes that the model leaves open; the first that it takes is used.
OPEN_SIZES = (32, 16, 8, 4, 64)


@dataclasses.dataclass(frozen=True, repr=False)
class ShrinkReport(Printed):
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


def shrink(
    model: keras.Model, samples: Any = None, *, verbose: int = 1
) -> tuple[keras.Model, ShrinkReport]:
    """Make a plain Keras model without the channels that are dead in this one.

    A channel is dead if nothing that is live depends on it, or if it is the same
    number for every input, and what reads it can do without: the number is 0.0, or
    goes into a bias. Found from the zeros of the weights as they are.

    Channels pass through every layer of the table `tf_admm.kinds`, and through
    elementwise operations of `keras.ops`. At any other layer they stay, and the
    report names it; `tf_admm.register_layer` says what is known of a layer of your
    own. Models in the model, and layers that hold layers, are laid out flat where
    something in them changes. Inputs and outputs keep their shapes.

    Layers in which nothing changes are copied; one that can't be made again from its
    config is shared with the model that was given. Under Keras' `ModelParallel`, whose
    layout is for the sizes that there were, the new model is made on one device.

    Args:
        model: a built functional or sequential model.
        samples: inputs to compare both models on, in the structure of the model's
            inputs; random ones if `None`.
        verbose: 0 to print nothing.

    Returns:
        `(small, report)`: the new model, not compiled, and a `ShrinkReport`.

    Raises:
        ValueError: if the model is another, or takes no random inputs.
        RuntimeError: if the new model does not compute the same.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    ... )
    >>> kernel, bias = model.layers[0].get_weights()
    >>> kernel[:, :6] = 0.0
    >>> model.layers[0].set_weights([kernel, bias])
    >>> small, report = tf_admm.shrink(model, verbose=0)
    >>> small.layers[0].units
    2
    """
    checks.check_built(model)
    traced = trace(model)
    with float32_compute(model):
        found = graph.Graph(Channels(traced))
    with seeds.kept(model), _whole():
        small = rebuilt(model, traced, found)
    difference = _difference(model, small, samples)
    paths = {id(k.variable): k.path for k in kernels.find(model)}
    report = ShrinkReport(
        units=found.units(paths),
        parameters=small.count_params(),
        total_parameters=model.count_params(),
        stopped=found.stopped(set(paths)),
        max_difference=difference,
    )
    return small, shown(report, verbose)


@contextlib.contextmanager
def _whole():
    """Without a `ModelParallel`: its layout is for the sizes of the given model."""
    now = keras.distribution.distribution()
    is_spread = isinstance(now, keras.distribution.ModelParallel)
    keras.distribution.set_distribution(None if is_spread else now)
    try:
        yield
    finally:
        keras.distribution.set_distribution(now)


def _difference(model, small, samples):
    with float32_compute(model), float32_compute(small):
        x, expected = _run(model, samples)
        received = _outputs(small, x)
    outputs = [keras.tree.flatten(y) for y in (expected, received)]
    differences = [0.0]
    for a, b in zip(*outputs):
        a, b = (keras.ops.convert_to_numpy(y).astype("float64") for y in (a, b))
        differences.append(np.abs(a - b).max(initial=0.0))
        if not differences[-1] <= TOLERANCE * max(1.0, np.abs(a).max(initial=0.0)):
            raise RuntimeError(
                "Expected the model without its dead units to compute the same. "
                f"Received: outputs that differ by {differences[-1]:.2e}. "
                f"{_advice(model, x)}"
            )
    return float(max(differences))


def _advice(model, x):
    """What to do where a small model puts out something else."""
    with seeds.kept(model):
        drawn = [keras.tree.flatten(model(x, training=False)) for _ in range(2)]
    if all(bool(keras.ops.all(a == b)) for a, b in zip(*drawn)):
        return f"Please report this, with the config of '{model.name}'."
    return (
        f"'{model.name}' draws random numbers as it predicts, other ones where there "
        "are fewer channels: shrink it without the layer that does, such as a Dropout "
        "that is always on."
    )


def _run(model, samples):
    """Inputs, and what the model makes of them."""
    if samples is not None:
        return samples, _outputs(model, samples)
    for size in OPEN_SIZES:
        try:
            x = _random_inputs(model, size)
            return x, _outputs(model, x)
        except Exception as error:  # noqa: BLE001, whatever too long an input leads to
            problem = error
    raise ValueError(
        "Expected a model that random inputs can be given to. Received: the model "
        f"'{model.name}', which fails on them: {problem}. Give `samples`."
    ) from problem


def _outputs(model, x):
    """What it computes, from the random numbers that come next, if it draws some."""
    with seeds.kept(model):
        return model(x, training=False)


def _random_inputs(model, size):
    rng = np.random.default_rng(0)
    return keras.tree.map_structure(
        lambda x: _random(rng, [n or size for n in x.shape[1:]], x),
        symbolic_inputs(model),
    )


def _random(rng, shape, like):
    shape = (like.shape[0] or SAMPLES, *shape)
    if keras.backend.is_float_dtype(keras.backend.standardize_dtype(like.dtype)):
        x = rng.standard_normal(shape)
        if len(shape) == 3:
            # A sequence that ends early, as `Masking` sees it.
            x[-1, (shape[1] + 1) // 2 :] = 0.0
        return keras.ops.cast(x, like.dtype)
    return keras.ops.cast(rng.integers(0, 2, shape), like.dtype)
