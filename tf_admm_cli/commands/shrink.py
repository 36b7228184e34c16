"""Leave out the channels that are zero: a smaller model that computes the same.

Example: tf-admm shrink pruned.keras --output=small.keras
"""

from tf_admm_cli import options
from tf_admm_cli import paths

ARGUMENTS = ("MODEL",)


def define(values):
    """The flags of the command."""
    options.output(values, "small.keras", "The .keras file to write.")
    options.models(values)


def check(given):
    """What can be known to be wrong before any work."""
    paths.check_model("MODEL", given.arguments[0])
    paths.check_output("--output", given.output, ".keras", given.overwrite)


def run(given):
    """Load, shrink and save."""
    import tf_admm
    from tf_admm_cli import models
    from tf_admm_cli.showing import Result

    with models.custom_objects(given.imports):
        model = models.load(given.arguments[0], given.seed, compiled=False)
        small, report = tf_admm.shrink(model, verbose=0)
        models.compile_as(small, given.arguments[0])
        size = tf_admm.save_compressed(small, given.output)
    record = {
        "output": given.output,
        "bytes": size,
        "parameters": report.parameters,
        "total_parameters": report.total_parameters,
        "units": {name: list(pair) for name, pair in report.units.items()},
        "stopped": list(report.stopped),
        "max_difference": report.max_difference,
    }
    return Result(record, [report, f"{given.output}: {size:,} bytes"])
