"""Make one budget into a sparsity for each layer, as JSON to read and to edit.

Without DATA layers are compared by their magnitudes; with it, by what the loss on it
suffers. `tf-admm prune --constraints` takes the file.

Example: tf-admm allocate model.keras data.npz --ratio=20 --output=rates.json
"""

from absl import flags

from tf_admm_cli import options
from tf_admm_cli import paths
from tf_admm_cli.problems import BadInput

ARGUMENTS = ("MODEL", "[DATA]", "[LABELS]")
BUDGETS = ("ratio", "nonzeros", "bytes", "macs")
METHODS = ["uniform", "erk", "magnitude", "sensitivity"]


def define(values):
    """The flags of the command."""
    flags.DEFINE_float(
        "ratio", None, "Weights over weights kept.", lower_bound=1, flag_values=values
    )
    for name, text in (
        ("nonzeros", "Weights kept."),
        ("bytes", "Bytes of the kernels in a TFLite file, an estimate."),
    ):
        flags.DEFINE_integer(name, None, text, lower_bound=1, flag_values=values)
    flags.DEFINE_float(
        "macs",
        None,
        "Multiplications of one sample that are left; their share if at most 1.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "method",
        None,
        METHODS,
        "How layers are compared: sensitivity with DATA, magnitude without.",
        flag_values=values,
    )
    options.structure(values, ["weights", "channels"], "weights")
    flags.DEFINE_integer(
        "tile",
        1,
        "Keep channels in whole tiles of so many: 16 runs faster on x86, 8 on ARM.",
        lower_bound=1,
        flag_values=values,
    )
    options.output(values, "rates.json", "The .json file to write.")
    options.goals(values)
    options.data(values)
    options.models(values)


def check(given):
    """What can be known to be wrong before any work."""
    paths.check_model("MODEL", given.arguments[0])
    data = given.arguments[1:]
    if data:
        paths.check_data("DATA", data)
    options.check_one(given, *BUDGETS, needed=True)
    given.method = given.method or ("sensitivity" if data else "magnitude")
    if (given.method == "sensitivity") != bool(data):
        raise BadInput(
            "DATA" if data else "--method",
            "Expected DATA with --method=sensitivity, and with no other. Received: "
            f"--method={given.method}, DATA={' '.join(data) or 'none'}",
        )
    if given.tile > 1 and given.structure != "channels":
        raise BadInput(
            "--tile",
            "Expected --structure=channels with it. Received: "
            f"--structure={given.structure}",
        )
    paths.check_output("--output", given.output, ".json", given.overwrite)


def run(given):
    """Load, allocate and save."""
    import tf_admm
    from tf_admm_cli import models
    from tf_admm_cli import opening
    from tf_admm_cli import sets
    from tf_admm_cli import showing

    with models.custom_objects(given.imports):
        files = given.arguments[1:]
        model = models.load(given.arguments[0], given.seed, compiled=bool(files))
        data = None
        if files:
            opened = opening.of_data(given, model, files)
            data = opened.data.validation or opened.data.train
        with showing.aside():
            allocation = tf_admm.allocate(
                model,
                **{name: getattr(given, name) for name in BUDGETS},
                method=given.method,
                structure=given.structure,
                tile=given.tile,
                data=data,
                verbose=0,
            )
        plan = tf_admm.plan(model, allocation, verbose=0)
    allocation.save(given.output)
    record = sets.plan_record(plan) | {"output": given.output, "method": given.method}
    return showing.Result(
        record, [plan, f"{given.output}: for tf-admm prune --constraints"]
    )
