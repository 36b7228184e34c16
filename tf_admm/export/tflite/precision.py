"""What the weights of a file are stored as, and how close its outputs must come."""

import dataclasses

#: Rows of the representative data that the converter looks at.
CALIBRATION_ROWS = 500
#: Largest difference allowed, relative to max(1, largest |output|).
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "int8": 0.25}
#: What floating-point inputs and outputs of a file can be.
IO_DTYPES = ("float32", "int8")


@dataclasses.dataclass(frozen=True)
class Precision:
    """One of `TOLERANCES`, with what it needs.

    Attributes:
        dtype: `"float32"`, `"float16"`, or `"int8"`: weights and activations in
            int8.
        rows: for int8, a list of flat lists of inputs, a row (or, with a fixed
            batch size, a batch) each, to find the ranges of activations by.
        io_dtype: what floating-point inputs and outputs are: `"float32"`, or, of an
            int8 file, `"int8"`.
        select_tf_ops: whether TensorFlow's own operators may stand in for those
            that TFLite lacks.
    """

    dtype: str = "float32"
    rows: tuple = ()
    io_dtype: str = "float32"
    select_tf_ops: bool = False

    def __post_init__(self):
        _check_one_of("dtype", self.dtype, TOLERANCES)
        _check_one_of("io_dtype", self.io_dtype, IO_DTYPES)
        if self.io_dtype == "int8" and self.dtype != "int8":
            raise ValueError(
                "Expected `io_dtype='int8'` with dtype='int8' only. Received: "
                f"io_dtype='int8', dtype={self.dtype!r}"
            )

    @property
    def tolerance(self):
        return TOLERANCES[self.dtype]

    @property
    def on_average(self):
        """Whether some outputs may be further off, as probabilities of int8 are."""
        return self.dtype == "int8"

    def configure(self, converter, names):
        """Tell a `TFLiteConverter`.

        Args:
            converter: the converter.
            names: names of the inputs, in the order of `rows`.
        """
        import tensorflow as tf

        sets, spec = tf.lite.OpsSet, converter.target_spec
        operators = [sets.TFLITE_BUILTINS]
        if self.dtype != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if self.dtype == "float16":
            spec.supported_types = [tf.float16]
        if self.dtype == "int8":
            operators = [sets.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: (
                dict(zip(names, row)) for row in self.rows[:CALIBRATION_ROWS]
            )
        if self.io_dtype == "int8":
            converter.inference_input_type = tf.int8
            converter.inference_output_type = tf.int8
        spec.supported_ops = operators + [sets.SELECT_TF_OPS] * self.select_tf_ops


def _check_one_of(name, value, choices):
    if not isinstance(value, str):
        raise TypeError(
            f"Expected `{name}` to be a string. Received: {name}={value!r} of type "
            f"{type(value)}"
        )
    if value not in choices:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected one of {list(choices)}. "
            f"Received: {name}={value!r}"
        )
