"""One bar for the whole of a run."""

import math
import time

import keras
from rich.console import Console
from rich.progress import BarColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TimeElapsedColumn

#: How much longer than the time limit the first stage may take: without it there is no
#: result at all.
FIRST = 1.5
#: Seconds of a stage from which on it is said how long it takes.
LONG = 60.0
#: Stages that a search takes before the first that fails, about.
GALLOPS = 3


class Bar:
    """The bar, and the clock that a run looks at.

    Args:
        minutes: float, the time limit, or `None`.
        verbose: 0 to show nothing.

    Attributes:
        seconds: float, the time limit, or infinity.
    """

    def __init__(self, minutes, verbose):
        self._start = time.monotonic()
        self.seconds = math.inf if minutes is None else 60.0 * minutes
        self._longest, self._epochs = 0.0, 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(),
            disable=not verbose,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *_):
        self._progress.stop()

    @property
    def minutes(self):
        """Since the run was started."""
        return (time.monotonic() - self._start) / 60.0

    @property
    def is_over(self):
        """Whether what is being trained has to stop; the first stage has some more."""
        limit = self.seconds * (1.0 if self._longest else FIRST)
        return 60.0 * self.minutes > limit

    def has_time(self, share=1.0):
        """Whether another stage would end within that share of the time limit."""
        return 60.0 * self.minutes + self._longest <= share * self.seconds

    def say(self, text):
        """What is being done."""
        self._progress.update(self._task, description=text)

    def tell(self, text):
        """A line that stays."""
        if not self._progress.disable:
            self._progress.console.print(text, highlight=False)

    def stages(self, done, left, epochs):
        """How many stages there are, about, of so many epochs."""
        self._epochs = epochs
        self._progress.update(
            self._task, total=(done + max(left, 1)) * epochs, completed=done * epochs
        )

    def took(self, seconds):
        """Note the time of a stage."""
        self._longest = max(self._longest, seconds)

    def callback(self):
        """What moves the bar as a stage trains, and stops it when time is over."""
        return _Advance(self)

    def advance(self):
        self._progress.advance(self._task)

    def tell_pace(self, seconds):
        """How long the first stage takes, by one of its epochs."""
        if not self._longest and seconds * self._epochs > LONG:
            self.tell(
                f"An epoch takes {seconds:.3g} s, a stage of {self._epochs} epochs "
                f"about {seconds * self._epochs / 60.0:.3g} minutes."
            )


class _Advance(keras.callbacks.Callback):
    def __init__(self, bar):
        super().__init__()
        self._bar, self._begins = bar, []

    def on_epoch_begin(self, epoch, logs=None):
        self._begins.append(time.monotonic())

    def on_epoch_end(self, epoch, logs=None):
        self._bar.advance()
        # The first is traced and compiled.
        if len(self._begins) == 2:
            self._bar.tell_pace(time.monotonic() - self._begins[-1])
        self.model.stop_training |= self._bar.is_over


def stages_left(tried, factor, fineness):
    """About how many stages a search still takes."""
    good = min((share for share, meets in tried if meets), default=1.0)
    bad = max((share for share, meets in tried if not meets), default=0.0)
    gap = good / bad if bad else factor
    halvings = math.ceil(math.log2(max(math.log(gap) / math.log(fineness), 1.0)))
    return halvings + (0 if bad else max(GALLOPS - len(tried), 1))
