"""What the weights of a file are stored as, and how close its outputs must come."""

import dataclasses

#: Rows of the representative data that the converter looks at.
CALIBRATION_ROWS = 500
#: Largest difference allowed, relative to max(1, largest |output|).
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "int8": 0.25}


@dataclasses.dataclass(frozen=True)
class Precision:
    """One of `TOLERANCES`, with what it needs.

    Attributes:
        dtype: `"float32"`, `"float16"`, or `"int8"`: weights and activations in
            int8, inputs and outputs in float32.
        rows: for int8, a list of flat lists of inputs, a row (or, with a fixed
            batch size, a batch) each, to find the ranges of activations by.
    """

    dtype: str = "float32"
    rows: tuple = ()

    def __post_init__(self):
        if self.dtype not in TOLERANCES:
            raise ValueError(
                f"Invalid value for argument `dtype`. Expected one of "
                f"{list(TOLERANCES)}. Received: dtype={self.dtype!r}"
            )

    @property
    def tolerance(self):
        return TOLERANCES[self.dtype]

    def configure(self, converter, names):
        """Tell a `TFLiteConverter`.

        Args:
            converter: the converter.
            names: names of the inputs, in the order of `rows`.
        """
        import tensorflow as tf

        if self.dtype == "float32":
            return
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if self.dtype == "float16":
            converter.target_spec.supported_types = [tf.float16]
            return
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: (
            dict(zip(names, row)) for row in self.rows[:CALIBRATION_ROWS]
        )
