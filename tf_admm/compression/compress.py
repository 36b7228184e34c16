"""From a trained model to the best that can be deployed."""

import os
from typing import Any

import keras

from tf_admm.compression import batches
from tf_admm.compression import checks
from tf_admm.compression import families
from tf_admm.compression import goals
from tf_admm.compression import measuring
from tf_admm.compression import pace
from tf_admm.compression import results
from tf_admm.compression import runs
from tf_admm.compression.judging import Objective
from tf_admm.compression.progress import Bar
from tf_admm.compression.report import CompressionReport
from tf_admm.compression.stages import Stages
from tf_admm.compression.training import Trainer
from tf_admm.export.tflite.signature import Signature
from tf_admm.printing import shown
from tf_admm.reporting import page
from tf_admm.structure.copying import compile_config
from tf_admm.structure.copying import copied

#: What is pruned, one after the other.
STRUCTURES = {
    "weights": [families.Weights],
    "channels": [families.Channels],
    "both": [families.FewChannels, families.Weights],
}


def compress(
    model: keras.Model,
    data: Any,
    *,
    max_drop: float | None = None,
    ratio: float | None = None,
    bytes: int | None = None,
    macs: float | None = None,
    speed: float | None = None,
    validation_data: Any = None,
    test_data: Any = None,
    metric: str | None = None,
    mode: str = "auto",
    structure: str = "auto",
    epochs: int | None = None,
    batch_size: int | None = None,
    time_limit: float | None = None,
    seed: int = 0,
    output: str | os.PathLike | None = None,
    overwrite: bool = False,
    verbose: int = 1,
) -> tuple[keras.Model, CompressionReport]:
    """Make a trained model as small as its metric allows, or as small as asked.

    With `max_drop`, stages of ADMM and retraining go down to ever smaller shares of
    what is kept, each from the last solution, and then between the last that was good
    enough and the first that wasn't: first of channels, which makes the model fast, and
    then of weights, which makes it small. Any other goal is one stage. What is left is
    made smaller by `shrink`, exported in several types, run, measured beside the dense
    model, and the smallest file that is good enough is named.

    Args:
        model: a built, functional or sequential Keras model, compiled. It is left as
            it is. Training uses its loss, and its optimizer from its learning rate
            down to 0 on half a cosine.
        data: what to train on: `(x, y)` or `(x, y, sample_weight)`, arrays or nests of
            them; or a dataset of such batches, whose length is known.
        max_drop: float, how much worse the metric may be on the validation data: of
            one whose most is best, such as accuracy, the difference; of a loss or an
            error, the difference over the dense value. 0.005 if no goal is given.
        ratio: float, weights of the kernels over those kept.
        bytes: int, of the file.
        macs: float, multiplications of one sample; a share of the dense model's if at
            most 1.0.
        speed: float, times as fast as the dense float32 file on one thread, measured.
        validation_data: as `data`, what choices are made by; a tenth of the arrays,
            drawn at random, by default. On rows that the model was trained on, its own
            metric flatters it, and less is pruned than could be.
        test_data: as `data`, looked at once, at the end.
        metric: the name of a compiled metric, the first by default.
        mode: which of the metric is better, `"min"` or `"max"`; `"auto"` as Keras
            knows it.
        structure: `"weights"` prunes single weights; `"channels"` whole channels, for
            speed; `"both"`, with `max_drop`, channels as long as half of it is not used
            up, and then weights. `"auto"` is `"both"` for `max_drop`, or `"weights"`
            if there is time for few stages; `"weights"` for `ratio` and `bytes`,
            `"channels"` for `macs` and `speed`.
        epochs: int, of one stage; by default 6,000 steps in a search and 18,000 of a
            single stage, at most 60 epochs; fewer where they would not fit the time
            limit.
        batch_size: int, of arrays; 32 of few rows, 128 of 10,000 or more by default.
        time_limit: float, minutes after which no more is tried, with `max_drop`; half
            as many for channels before weights.
        seed: int, of the order of the rows, and of what layers draw.
        output: a folder for `model.keras`, a TFLite file of each type, `report.html`
            and `result.json`; the file of the model is compiled as `model` is. A run
            that was killed goes on if called again with the same arguments.
        overwrite: whether a run that is in `output` already, done or not, is replaced.
            What is done stays until there is something to replace it.
        verbose: 0 to print nothing.

    Returns:
        `(model, report)`: a plain Keras model, not compiled, and a
        `CompressionReport`.

    Raises:
        TypeError, ValueError: before any training, if an argument is not as described,
            if the goal can't be met, or if `output` holds a run that is done, or
            another one.
        ImportError: if there is `output`, and no jinja2 or matplotlib for the page.
        KeyboardInterrupt: passed on; `output/model.keras` is the best so far then.

    Example:

    ```python
    small, report = tf_admm.compress(model, (x_train, y_train), output="out")
    print(report.headline)
    ```
    """
    goal = goals.of(max_drop=max_drop, ratio=ratio, bytes=bytes, macs=macs, speed=speed)
    chosen = checks.structure(structure, goal)
    checks.check_model(model)
    checks.check_numbers(goal, epochs, batch_size, time_limit)
    checks.check_seed(seed)
    if output is not None:
        runs.check(output, overwrite)
        page.check_libraries()
    given = batches.of(data, validation_data, test_data, batch_size, seed)
    bar = Bar(time_limit, verbose)
    if validation_data is None:
        bar.tell(
            "A tenth of the rows is set aside to judge by. If the model was trained on "
            "them, give others as validation data: more may be pruned then."
        )
    trainer = Trainer(model, given, epochs, goal.is_searched, bar)
    dense = copied(model)
    trainer.compile(dense)
    objective = Objective(dense, given.validation, metric, mode)
    if objective.others:
        bar.tell(
            f"Judged by {objective.name} alone. Another would be, by `metric`: "
            f"{', '.join(objective.others)}."
        )
    if goal.is_searched and objective.error > goal.value:
        bar.tell(
            f"{objective.name} on the validation data has a standard error of "
            f"{100 * objective.error:.2g} points, more than {goal}: what is good "
            "enough is partly chance. Give more validation data."
        )
    chosen = what(model, given, goal, chosen)
    last = chosen[-1]
    options = {"goal": goal, "structure": structure, "epochs": epochs}
    options |= {"metric": metric, "mode": mode, "batch_size": batch_size, "seed": seed}
    options["compiled"] = compiled = compile_config(model)
    key = runs.fingerprint(model, given, **options)
    run = runs.Run(output, key, overwrite, compiled)
    if run.stages:
        bar.tell(f"Going on after {len(run.stages)} stages.")
    try:
        with bar:
            # A run that was begun at a pace goes on at it, whatever its time now.
            if epochs is None and (time_limit is not None or run.pace):
                _pace(run, model, trainer, objective, given, bar)
                if structure == "auto" and run.pace["is_short"]:
                    bar.tell(
                        "There is time for few stages: single weights alone are "
                        "pruned, which makes the file smaller, but hardly faster."
                    )
                    chosen = chosen[-1:]
            best = copied(model)
            for family in chosen:
                drop = family.patience * goal.value
                stages = Stages(
                    best, goal, family, drop, last, trainer, objective, run, bar
                )
                best = _best(stages, dense, goal, family, given)
            small = last.finished(best)
            report = results.made(dense, small, given, objective, goal, last, run, bar)
    except KeyboardInterrupt:
        run.leave()
        raise
    finally:
        run.close()
    return small, shown(report, verbose)


def what(model, data, goal, structure):
    """What is pruned, one after the other, as `families` have it.

    Raises:
        ValueError: if the goal can't be met, as far as that is known without files.
    """
    signature = Signature(model)
    samples = signature.pack(signature.match(data.samples))
    found = [family(model, samples) for family in STRUCTURES[structure]]
    if not goal.is_searched and not goal.is_measured:
        found[0].constraints(model, goal.share(found[0].total))
    return found


def _pace(run, model, trainer, objective, data, bar):
    """Give stages so few epochs that some of them fit into the time limit."""
    if run.pace is None:
        bar.say("timing an epoch")
        found, seconds = pace.epochs(model, trainer, objective, data, bar.seconds)
        if found < trainer.epochs:
            bar.tell(
                f"An epoch takes {seconds:.3g} s: stages have {found} epochs, and not "
                f"{trainer.epochs}, to fit the time limit."
            )
        is_short = bar.seconds < pace.SHORT * found * seconds
        run.pace = {"epochs": found, "is_short": is_short}
    trainer.shorten(run.pace["epochs"])


def _best(stages, dense, goal, family, data):
    """The model that meets the goal."""
    if goal.is_searched:
        return stages.search()
    if not goal.is_measured:
        return stages.reach(goal.share(family.total))
    share = measuring.share(dense, lambda: copied(dense), family, goal, data.samples)
    return stages.reach(share) if share < 1.0 else copied(dense)
