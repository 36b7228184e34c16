"""How many epochs of a stage fit into the time that there is."""

import time

from tf_admm.structure.copying import copied

#: Stages that a search should have time for, and the fewest epochs that make sense of
#: one: in between, epochs are given up rather than stages.
STAGES, FEWEST, LEAST = 6, 4, 2
#: Stages below which there is no time for channels before weights.
SHORT = 4
#: Steps that are timed, and how much longer those of ADMM take, with its updates.
STEPS, SLOWER = 8, 1.2
#: How much of the time one stage may take.
SHARE = 0.8


def epochs(model, trainer, objective, data, seconds):
    """`(epochs, seconds)`: of one stage, and of one epoch, as measured on a copy.

    Args:
        model: the model; it is left as it is.
        trainer: a `training.Trainer`, with the epochs that a stage has at most.
        objective: a `judging.Objective`.
        data: a `batches.Data`.
        seconds: float, the time limit.
    """
    taken = _of_an_epoch(model, trainer, objective, data)
    return fitting(trainer.epochs, taken, seconds), taken


def fitting(most, taken, seconds):
    """Epochs of a stage, at most so many, where each takes that long.

    Example:

    >>> from tf_admm.compression.pace import fitting
    >>> fitting(60, taken=10.0, seconds=600.0)
    10
    """
    wished = max(seconds / STAGES, min(FEWEST * taken, SHARE * seconds))
    return min(most, max(LEAST, int(wished / taken)))


def _of_an_epoch(model, trainer, objective, data):
    probe = copied(model)
    trainer.compile(probe)
    train, _ = data.train(0)
    steps = max(1, min(STEPS, data.steps // 2))
    given = {"x": train, "shuffle": False, "verbose": 0}
    # The first steps and the first evaluation are compiled.
    probe.fit(**given, steps_per_epoch=steps)
    objective.value(probe)
    begin = time.monotonic()
    probe.fit(**given, steps_per_epoch=steps)
    trained = time.monotonic()
    objective.value(probe)
    end = time.monotonic()
    return SLOWER * (trained - begin) / steps * data.steps + end - trained
