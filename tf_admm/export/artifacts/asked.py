"""What an artifact is asked for: a model, what it is compared on, and how closely."""

import dataclasses
from typing import Any

import keras

from tf_admm.export import elsewhere
from tf_admm.export.tflite import complaints
from tf_admm.export.tflite import conversion
from tf_admm.export.tflite import runtime
from tf_admm.export.tflite.signature import Signature
from tf_admm.structure.checks import check_built
from tf_admm.structure.precision import float32_compute

#: Largest difference allowed, relative to max(1, largest |output|).
TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class Asked:
    """A model to be written.

    Attributes:
        model: the Keras model.
        signature: its `Signature`.
        batch: the batch size that it insists on, or `None`.
        cases: list of `(inputs, outputs)`, flat lists of arrays.
        names: names of the inputs and of the outputs.
    """

    model: keras.Model
    signature: Signature
    batch: int | None
    cases: list
    names: tuple

    def written(self, write, path, named):
        """Let `write` write it, here or in the process with TensorFlow.

        Args:
            write: function of a module, of a model, a path, and the options below.
            path: where it writes to.
            named: what messages call this path.
        """
        elsewhere.call(
            write,
            self.model,
            path,
            named,
            example=self.signature.example(),
            names=self.names,
            batch=self.batch,
        )

    def compared(self, run):
        """The `Comparison` of the output that differs most.

        Args:
            run: function from a flat list of inputs to a flat list of outputs.

        Raises:
            RuntimeError: if an output differs by more than it may.
        """
        found = max(
            (
                runtime.compared(received.astype("float64"), expected, TOLERANCE)
                for inputs, outputs in self.cases
                for received, expected in zip(run(inputs), outputs, strict=True)
            ),
            key=lambda comparison: comparison.ratio,
        )
        if found.agrees:
            return found
        raise RuntimeError(
            f"Expected model {self.model.name!r} to convert to what agrees with it. "
            f"Received: outputs that differ by {found.difference:.2e} (allowed: "
            f"{found.tolerance:.2e}). Nothing was written."
        )


def asked(model: keras.Model, samples: Any) -> Asked:
    """A model with what it says on the samples, computing in float32.

    Raises:
        TypeError, ValueError: if it is no built model, or does not take the samples.
    """
    check_built(model)
    signature = Signature(model, samples)
    flat = signature.random() if samples is None else signature.flatten(samples)
    with float32_compute(model):
        batch = conversion.batch_sizes(model, signature, flat)[0]
        cases, names = conversion.cases(model, signature, flat, batch)
    return Asked(model, signature, batch, cases, names)


def specs(signature, names, batch):
    """A `keras.InputSpec` for each input, flat."""
    return [
        keras.InputSpec(shape=(batch, *shape[1:]), dtype=dtype, name=name)
        for name, shape, dtype in zip(names, signature.shapes, signature.dtypes)
    ]


def failed(model, error):
    """The error of a model that something that Keras calls can't write, or run."""
    # Keras lists the arguments of the layer after what went wrong.
    gist = complaints.telling(str(error).partition("Arguments received by")[0])
    return RuntimeError(
        f"Expected model {model.name!r} to convert to what can be run. Received: "
        f"{type(error).__name__}: {gist}. Nothing was written."
    )
