"""Measure a model as each of several files: bytes, multiplications, speed, metric.

Example: tf-admm report pruned.keras data.npz --html=report.html
"""

from absl import flags

from tf_admm_cli import options
from tf_admm_cli import paths
from tf_admm_cli.problems import BadInput

ARGUMENTS = ("MODEL", "[DATA]", "[LABELS]")


def define(values):
    """The flags of the command."""
    flags.DEFINE_string("html", None, "The page to write.", flag_values=values)
    flags.DEFINE_string(
        "history",
        None,
        "CSV of the training, as Keras' CSVLogger writes it, for the page.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "overwrite", False, "Replace the page if it is there.", flag_values=values
    )
    options.representative(values)
    options.goals(values)
    options.data(values)
    options.models(values)


def check(given):
    """What can be known to be wrong before any work."""
    paths.check_model("MODEL", given.arguments[0])
    if given.arguments[1:]:
        paths.check_data("DATA", given.arguments[1:])
    elif given.metric or given.loss:
        raise BadInput("DATA", "Expected data with --metric or --loss. Received: none")
    if given.representative:
        paths.check_data("--representative", given.representative, labels=False)
    if given.html:
        paths.check_output("--html", given.html, ".html", given.overwrite)
    if given.history:
        paths.check_file("--history", given.history, ".csv")
        if not given.html:
            raise BadInput("--html", "Expected a page for --history. Received: none")


def run(given):
    """Load and measure."""
    import dataclasses

    import tf_admm
    from tf_admm_cli import models
    from tf_admm_cli import opening
    from tf_admm_cli.showing import Result
    from tf_admm_cli.spec import of_model

    with models.custom_objects(given.imports):
        files = given.arguments[1:]
        model = models.load(given.arguments[0], given.seed, compiled=bool(files))
        data = None
        if files:
            found = opening.of_data(given, model, files, True).data
            data = getattr(found, found.held_out)
        report = tf_admm.report(
            model,
            data,
            opening.representative(given, of_model(model)),
            html=given.html,
            metric=None if given.metric == "loss" else given.metric,
            history=given.history,
            verbose=0,
        )
    record = {
        "metric": report.metric,
        "headline": report.headline,
        "variants": [dataclasses.asdict(variant) for variant in report.variants],
        "failed": report.failed,
    }
    return Result(record, [report])
