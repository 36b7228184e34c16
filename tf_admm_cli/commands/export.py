"""Write a TFLite file that has been run, and agrees with the model.

Zeros are stored sparse where that is smaller; --nosparse for microcontrollers, which
run no sparse file.

Example: tf-admm export pruned.keras --dtype=int8 --representative=data.npz
"""

from absl import flags

from tf_admm_cli import options
from tf_admm_cli import paths
from tf_admm_cli.problems import BadInput

ARGUMENTS = ("MODEL",)
DTYPES = ["float32", "float16", "int8"]


def define(values):
    """The flags of the command."""
    flags.DEFINE_enum(
        "dtype", "float32", DTYPES, "What weights are stored as.", flag_values=values
    )
    flags.DEFINE_enum(
        "io_dtype",
        "float32",
        ["float32", "int8"],
        "What the inputs and outputs of an int8 file are.",
        flag_values=values,
    )
    options.representative(values)
    flags.DEFINE_bool(
        "sparse", True, "Store zeros sparse where that is smaller.", flag_values=values
    )
    flags.DEFINE_bool(
        "shrink", False, "Leave out channels that are zero first.", flag_values=values
    )
    options.output(values, "model.tflite", "The .tflite file to write.")
    options.data(values)
    options.models(values)


def check(given):
    """What can be known to be wrong before any work."""
    paths.check_model("MODEL", given.arguments[0])
    paths.check_output("--output", given.output, ".tflite", given.overwrite)
    if (given.dtype == "int8") != bool(given.representative):
        raise BadInput(
            "--representative",
            "Expected inputs with --dtype=int8, and with no other. Received: "
            f"--dtype={given.dtype}, --representative={','.join(given.representative)}",
        )
    if given.io_dtype == "int8" and given.dtype != "int8":
        raise BadInput(
            "--io_dtype",
            "Expected int8 with --dtype=int8 only. Received: --io_dtype=int8, "
            f"--dtype={given.dtype}",
        )
    if given.representative:
        paths.check_data("--representative", given.representative, labels=False)


def run(given):
    """Load, convert and write."""
    import dataclasses

    import tf_admm
    from tf_admm_cli import models
    from tf_admm_cli import opening
    from tf_admm_cli.showing import Result
    from tf_admm_cli.spec import of_model

    with models.custom_objects(given.imports):
        model = models.load(given.arguments[0], given.seed, compiled=False)
        rows = opening.representative(given, of_model(model))
        if given.shrink:
            model, _ = tf_admm.shrink(model, verbose=0)
        report = tf_admm.export.to_tflite(
            model,
            given.output,
            sparse=given.sparse,
            dtype=given.dtype,
            io_dtype=given.io_dtype,
            representative=rows,
        )
    return Result(dataclasses.asdict(report), [str(report)])
