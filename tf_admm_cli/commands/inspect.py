"""Print what a TFLite file stores: each constant, its encoding, bytes and zeros.

Example: tf-admm inspect out/pruned_int8.tflite
"""

from tf_admm_cli import paths

ARGUMENTS = ("FILE",)


def define(values):
    """No flags but the common ones."""


def check(given):
    """What can be known to be wrong before any work."""
    paths.check_file("FILE", given.arguments[0], ".tflite")


def run(given):
    """Read the file."""
    import dataclasses

    from tf_admm import export
    from tf_admm_cli.problems import BadInput
    from tf_admm_cli.showing import Result

    try:
        found = export.inspect(given.arguments[0])
    except ValueError as error:
        raise BadInput("FILE", error) from error
    constants = [dataclasses.asdict(constant) for constant in found.constants]
    record = {"path": found.path, "bytes": found.bytes, "constants": constants}
    return Result(record, [found])
