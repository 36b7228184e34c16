"""Print what each layer of a model would get: how many of its weights, and why.

Example: tf-admm plan model.keras --sparsity=0.9
"""

from tf_admm_cli import options
from tf_admm_cli import paths

ARGUMENTS = ("MODEL",)


def define(values):
    """The flags of the command."""
    options.sparsity(values)
    options.models(values)


def check(given):
    """What can be known to be wrong before any work."""
    paths.check_model("MODEL", given.arguments[0])
    options.check_one(given, "sparsity", "ratio", "constraints")
    if given.constraints:
        paths.check_file("--constraints", given.constraints, ".json")


def run(given):
    """Load the model, and print the plan."""
    import tf_admm
    from tf_admm_cli import models
    from tf_admm_cli import sets
    from tf_admm_cli.showing import Result

    with models.custom_objects(given.imports):
        model = models.load(given.arguments[0], given.seed, compiled=False)
        plan = tf_admm.plan(model, sets.constraints(given), verbose=0)
    return Result(sets.plan_record(plan), [plan])
