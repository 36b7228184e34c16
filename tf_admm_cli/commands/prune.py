"""Train a model by ADMM to so many zeros, and retrain what is kept.

The model stays a plain Keras model, whose file is as small as its zeros make it. A run
that was stopped goes on by the same command.

Example: tf-admm prune model.keras data.npz --sparsity=0.95 --output=pruned.keras
"""

from absl import flags

from tf_admm_cli import options
from tf_admm_cli import paths

ARGUMENTS = ("MODEL", "DATA", "[LABELS]")


def define(values):
    """The flags of the command."""
    options.sparsity(values)
    for name, default, least, text in (
        ("admm_epochs", 10, 1, "Epochs of ADMM."),
        ("retrain_epochs", 5, 0, "Epochs after it, for what is kept."),
        ("batch_size", 32, 1, "Rows a step."),
    ):
        flags.DEFINE_integer(name, default, text, lower_bound=least, flag_values=values)
    for name, text in (
        ("rho", "How strongly ADMM pulls weights to zero: auto, or a number."),
        ("update_freq", "Steps from one update of ADMM to the next: auto, or so many."),
    ):
        flags.DEFINE_string(name, "auto", text, flag_values=values)
    options.output(values, "pruned.keras", "The .keras file to write.")
    options.goals(values)
    options.data(values)
    options.models(values)


def check(given):
    """What can be known to be wrong before any work."""
    paths.check_model("MODEL", given.arguments[0])
    paths.check_data("DATA", given.arguments[1:])
    options.check_one(given, "sparsity", "ratio", "constraints")
    if given.constraints:
        paths.check_file("--constraints", given.constraints, ".json")
    paths.check_output("--output", given.output, ".keras", given.overwrite)


def run(given):
    """Load, check, train and save."""
    from tf_admm_cli import data
    from tf_admm_cli import opening
    from tf_admm_cli import training

    with opening.opened(given, given.arguments[1:]) as opened:
        data.check_batches(given, opened.data)
        return training.pruned(given, opened)
