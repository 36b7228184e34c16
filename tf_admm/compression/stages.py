"""The stages of a run: each goes on from the last solution to a smaller one."""

import time

from tf_admm.compression import families
from tf_admm.compression import progress
from tf_admm.compression import search
from tf_admm.reporting import words
from tf_admm.structure.copying import copied

#: What a stage prunes, and what for, by the noun of its family.
AIMS = {
    "multiplications": "channels: {} fewer multiplications",
    "weights": "weights: {} fewer",
}


class Stages:
    """Prunes a model in stages, until the goal is met as far as it can be.

    Args:
        model: a copy of the dense model, which may be changed.
        goal: a `goals.Goal`.
        family: a `families.Weights` or `families.Channels`.
        drop: float, how much worse than the dense model is good enough in a search.
        last: the family that the run ends with, in whose unit what is left is noted.
        trainer: a `training.Trainer`.
        objective: a `judging.Objective`.
        run: a `runs.Run`.
        bar: a `progress.Bar`.
    """

    def __init__(self, model, goal, family, drop, last, trainer, objective, run, bar):
        self._model, self._goal, self._family = model, goal, family
        self._drop, self._start, self._last = drop, family.left(model), last
        self._trainer, self._objective = trainer, objective
        self._run, self._bar = run, bar

    def search(self):
        """The smallest model that is good enough; the one given if none is."""
        best = copied(self._model)
        if self._done:
            best = self._run.best(self._model) or best
        while (share := self._following()) is not None and self._has_time:
            left = progress.stages_left(
                self._tried, self._family.factor, self._family.fineness
            )
            model = self._stage(copied(best), share, left)
            if model is not None and self._run.stages[-1]["meets"]:
                best = model
        return best

    def reach(self, share):
        """The model at one share, however good."""
        if not self._done:
            self._stage(copied(self._model), share, 1)
        return self._run.best(self._model)

    @property
    def _has_time(self):
        return self._bar.has_time(self._family.patience)

    @property
    def _done(self):
        noun = self._family.noun
        return [stage for stage in self._run.stages if stage["noun"] == noun]

    @property
    def _tried(self):
        """What was tried, without what stays in any case.

        What there was as the search began is among it till something is met.
        """
        floor = self._family.floor
        tried = [(stage["share"] - floor, stage["meets"]) for stage in self._done]
        if any(meets for _, meets in tried):
            return tried
        return [(self._start - floor, True), *tried]

    @property
    def _smallest(self):
        return min(share for share, meets in self._tried if meets)

    def _following(self):
        share = search.following(
            self._tried, self._family.factor, self._family.fineness, families.LEAST
        )
        return None if share is None else share + self._family.floor

    def _stage(self, model, share, left):
        """Prune and judge. Returns what the next stage goes on from, or `None`."""
        start, number = time.monotonic(), len(self._run.stages)
        self._bar.stages(number, left, self._trainer.epochs)
        self._bar.say(f"{words.times(share)} fewer {self._family.noun}")
        try:
            constraints = self._family.constraints(model, share)
        except ValueError:
            if not self._goal.is_searched:
                raise
            # So small a model can't be made.
            self._note(share, None, False, "", start, {}, None)
            return None
        self._run.begin()
        history = self._trainer.stage(
            number,
            model,
            constraints,
            self._smallest / (share - self._family.floor),
            self._run.backups,
            self._objective,
        )
        if history is None:
            return None
        model = self._family.going_on(model)
        self._trainer.compile(model)
        value = self._objective.value(model)
        drop = self._objective.drop(value)
        meets = drop <= self._drop or not self._goal.is_searched
        why = "" if meets or drop > self._goal.value else self._family.why
        self._note(share, value, meets, why, start, history, model)
        return model

    def _note(self, share, value, meets, why, start, history, model):
        seconds = time.monotonic() - start
        self._bar.took(seconds)
        stage = {"noun": self._family.noun, "share": share, "metric": value}
        stage |= {"meets": meets, "why": why, "history": history}
        if model is not None:
            stage["left"] = self._last.left(model)
        self._run.save(stage | {"minutes": seconds / 60.0}, model)
        if value is not None:
            name = self._objective.name
            self._bar.tell(
                f"{aim(stage)}; {self._last.unit} {words.share(stage['left'])}: "
                f"{name} {words.value(value, name)}{self._verdict(meets, why)}"
                f" ({seconds / 60.0:.1f} min)"
            )

    def _verdict(self, meets, why):
        if not self._goal.is_searched:
            return ""
        worse = "too low" if self._objective.better == "max" else "too high"
        return f", {'enough' if meets else why or worse}"


def aim(stage):
    """What a stage was to come to: `"weights: 4x fewer"`."""
    return AIMS[stage["noun"]].format(words.times(stage["share"]))
