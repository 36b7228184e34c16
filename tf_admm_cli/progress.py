"""One bar for the whole of a training."""

import sys

import keras
from rich.console import Console
from rich.progress import Progress


class Bar(keras.callbacks.Callback):
    """Moves with the epochs, and names the metric; on standard error.

    Args:
        epochs: dict from what is done to its number of epochs, in order.
        metric: name of what is shown.
    """

    def __init__(self, epochs, metric):
        super().__init__()
        self._phases = [name for name, n in epochs.items() for _ in range(n)]
        self._metric = metric
        console = Console(file=sys.stderr)
        self._progress = Progress(
            console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("", total=len(self._phases))

    def on_train_begin(self, logs=None):
        self._progress.start()

    def on_epoch_begin(self, epoch, logs=None):
        self._progress.update(
            self._task, description=self._phases[epoch], completed=epoch
        )

    def on_epoch_end(self, epoch, logs=None):
        value = (logs or {}).get(f"val_{self._metric}")
        shown = "" if value is None else f", {self._metric} {value:.4g}"
        self._progress.update(
            self._task, description=f"{self._phases[epoch]}{shown}", completed=epoch + 1
        )

    def close(self):
        """Take the bar away."""
        self._progress.stop()
