"""Make a trained model as small as its metric allows, or as small or fast as asked.

--max_drop searches, stage by stage, for the smallest whose metric on the validation
data stays within that of the model: whole channels first, then single weights. Any
other goal is one stage. The folder --output gets model.keras, a .tflite file of each
type, report.html and result.json. A run that was stopped goes on by the same command.

Example: tf-admm compress model.keras data.npz --max_drop=0.005 --output=out
"""

from absl import flags

from tf_admm_cli import options
from tf_admm_cli import paths
from tf_admm_cli import runs

ARGUMENTS = ("MODEL", "DATA", "[LABELS]")
GOALS = {
    "max_drop": (
        0,
        "How much worse the metric may be: of accuracy and the like the difference, of "
        "a loss or an error its share. 0.005 if no goal is given.",
    ),
    "ratio": (1, "Weights of the kernels over those kept."),
    "bytes": (1, "Bytes of the file."),
    "macs": (0, "Multiplications of one sample; their share if at most 1."),
    "speed": (1, "Times as fast as the dense file on one thread, measured."),
}
#: What is handed on to the library as it is.
HANDED_ON = (*GOALS, "metric", "mode", "structure", "epochs", "batch_size")
HANDED_ON += ("time_limit", "seed", "output", "overwrite")


def define(values):
    """The flags of the command."""
    for name, (least, text) in GOALS.items():
        flags.DEFINE_float(name, None, text, lower_bound=least, flag_values=values)
    flags.DEFINE_enum(
        "mode",
        "auto",
        ["auto", "min", "max"],
        "Which of the metric is better; auto as Keras knows it.",
        flag_values=values,
    )
    options.structure(values, ["auto", "weights", "channels", "both"], "auto")
    for name, text in (
        ("epochs", "Epochs of one stage; chosen by the number of rows."),
        ("batch_size", "Rows a step; chosen by the number of rows."),
    ):
        flags.DEFINE_integer(name, None, text, lower_bound=1, flag_values=values)
    flags.DEFINE_float(
        "time_limit",
        None,
        "Minutes after which --max_drop tries no more; without --epochs, stages are as "
        "short as that asks for.",
        lower_bound=0,
        flag_values=values,
    )
    for name, text in (
        (
            "validation_data",
            "Data to judge by, the test part if the file has one; by default the part "
            "of DATA, or a tenth of it, which flatters a model that was trained on it.",
        ),
        (
            "test_data",
            "Data that is read once, at the end; by default the part of DATA.",
        ),
    ):
        flags.DEFINE_list(name, [], text, flag_values=values)
    flags.DEFINE_bool(
        "dry_run", False, "Check all, say what would be done.", flag_values=values
    )
    options.output(values, "out", "The folder to write to.")
    options.goals(values)
    options.data(values)
    options.models(values)


def check(given):
    """What can be known to be wrong before any work."""
    paths.check_model("MODEL", given.arguments[0])
    paths.check_data("DATA", given.arguments[1:])
    for name in ("validation_data", "test_data"):
        if getattr(given, name):
            paths.check_data(f"--{name}", getattr(given, name))
    options.check_one(given, *GOALS)
    runs.check(given.output, given.overwrite, given.arguments[0])


def run(given):
    """Load, check and compress."""
    from tf_admm_cli import data
    from tf_admm_cli import opening

    with opening.opened(given, given.arguments[1:]) as opened:
        data.check_batches(given, opened.data)
        test, rows = opened.data.test, opened.data.rows.get("test", 0)
        if given.test_data:
            test, rows = opened.more("--test_data", given.test_data)
        if given.validation_data:
            part, count = opened.more("--validation_data", given.validation_data)
            opened.data.validation, opened.data.rows["validation"] = part, count
        if given.dry_run:
            return _intended(given, opened, test, rows)
        return _compressed(given, opened, test)


def _compressed(given, opened, test):
    import tf_admm
    from tf_admm_cli.showing import Result

    handed_on = {name: getattr(given, name) for name in HANDED_ON}
    try:
        _, report = tf_admm.compress(
            opened.model,
            opened.data.train,
            validation_data=opened.data.validation,
            test_data=test,
            verbose=0 if given.json else 1,
            **handed_on,
        )
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(runs.left(given.output)) from stop
    # The library has printed its table.
    return Result(report.record(), [f"{given.output}: {runs.listed(report.files)}"])


def _intended(given, opened, test, test_rows):
    """What would be done, and how good the model is now."""
    from tf_admm.compression import batches
    from tf_admm.compression import checks
    from tf_admm.compression import goals
    from tf_admm.compression import judging
    from tf_admm.compression import rates
    from tf_admm.compression.compress import what
    from tf_admm.compression.training import Trainer
    from tf_admm_cli import data
    from tf_admm_cli import objective
    from tf_admm_cli import showing

    goal = goals.of(**{name: getattr(given, name) for name in GOALS})
    structure = checks.structure(given.structure, goal)
    checks.check_numbers(goal, given.epochs, given.batch_size, given.time_limit)
    checks.check_model(opened.model)
    train, validation = opened.data.train, opened.data.validation
    parts = batches.of(train, validation, test, given.batch_size, given.seed)
    judged = judging.Objective(opened.model, parts.validation, given.metric, given.mode)
    what(opened.model, parts, goal, structure)
    trainer = Trainer(opened.model, parts, given.epochs, goal.is_searched, None)
    rows = opened.data.rows
    aside = rows.get("validation") or data.count(parts.validation)
    record = {
        "model": given.arguments[0],
        "parameters": opened.model.count_params(),
        "training rows": rows["train"] - (0 if "validation" in rows else aside),
        "validation rows": aside,
        "test rows": test_rows,
        "trained for": objective.title(opened.model.loss),
        "metric": judged.name,
        judged.name: showing.plain(judged.dense),
        "goal": str(goal),
        "structure": structure,
        "epochs of a stage": trainer.epochs,
        "first learning rate": float(f"{rates.first(opened.model.optimizer):.4g}"),
        "output": given.output,
    }
    title = "Would be done; nothing was written"
    return showing.Result(record, [showing.table(title, record)])
