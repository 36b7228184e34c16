"""The epochs of ADMM, and when within them Z and U are updated."""


class Rounds:
    """The epochs of ADMM, in equal parts.

    Args:
        epochs: int, of all of them.
        again: int, how often the budget is given back in between.
    """

    def __init__(self, epochs, again):
        self.ends = [round(epochs * (i + 1) / (again + 1)) for i in range(again + 1)]

    @property
    def shortest(self):
        """The epochs of the shortest round."""
        return min(b - a for a, b in zip([0, *self.ends], self.ends))

    def t(self, number, epochs):
        """Progress of a round in [0, 1], so many epochs into all of them."""
        start, end = ([0, *self.ends])[number : number + 2]
        return min(1.0, max(0.0, (epochs - start) / (end - start)))

    def is_over(self, number, epochs):
        return epochs >= self.ends[number]

    def is_last(self, number):
        return number + 1 >= len(self.ends)


class EveryEpoch:
    """As each epoch ends."""

    at_end = True

    def begin(self, model):
        """An epoch begins, and nothing is pending from the last."""

    def looks(self, done):
        """Whether the model is asked if Z and U are due, so many steps into the epoch.

        Only then, since on JAX that reads the state back from the train step.
        """
        return False

    def is_due(self, model):
        """Whether Z and U are updated now."""
        return False

    def note(self, done):
        """They were updated, so many steps into the epoch."""


class EverySteps:
    """After so many W-steps; the epochs don't matter.

    Args:
        steps: int.
    """

    at_end = False

    def __init__(self, steps):
        self.steps = steps

    def begin(self, model):
        self._updated_at = -model.steps_since_update

    def looks(self, done):
        return done - self._updated_at >= self.steps

    def is_due(self, model):
        # Where the length of the epoch isn't known, only the model knows.
        return model.steps_since_update >= self.steps

    def note(self, done):
        self._updated_at = done


class Following:
    """When W has followed Z half of the way, or a tenth of a round has passed.

    Where the length of the epoch isn't known, also as it ends.

    Args:
        epochs: int, those of the shortest round.
        steps: int, those of an epoch; `None` where that isn't known.
    """

    #: Steps of a round where the length of the epoch isn't known.
    unknown = 5000
    #: Steps between two updates at least: after one, W has followed by chance.
    least = 3

    def __init__(self, epochs, steps):
        # An epoch of unknown length may be over before anything is due.
        self.at_end = steps is None
        total = epochs * steps if steps else self.unknown
        self._every = max(self.least, total // 100)
        self._longest = max(self.least, total // 10)

    def begin(self, model):
        self._looked_at = -(model.steps_since_update % self._every)

    def looks(self, done):
        if done - self._looked_at < self._every:
            return False
        self._looked_at = done
        return True

    def note(self, done):
        """Nothing: it looks again after as many steps."""

    def is_due(self, model):
        waited = model.steps_since_update
        followed = waited >= self._every and model.has_followed()
        return followed or waited >= self._longest


def pace(update_freq, rounds, steps):
    """One of these, by the `update_freq` of `ADMMCallback` and an epoch's steps."""
    if update_freq == "epoch":
        return EveryEpoch()
    if update_freq == "auto":
        return Following(rounds.shortest, steps)
    return EverySteps(update_freq)


def is_late(model, pace):
    """Whether an update was due as the last epoch ended, and is not made."""
    return model.steps_since_update > 0 if pace.at_end else pace.is_due(model)
