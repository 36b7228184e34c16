"""The history of a training, from whatever Keras keeps it in."""

import csv
import os

import keras
import numpy as np

#: Columns that say how ADMM went.
ADMM = (
    "admm_primal_rel",
    "admm_dual_rel",
    "admm_changed",
    "admm_penalty",
    "rho",
)
#: Columns that are no metrics.
OTHERS = ("epoch", "loss", "learning_rate", "admm_primal", "admm_dual", *ADMM)


def read(history):
    """Columns of a history, by name: each a pair of arrays, epochs from 1 and values.

    Args:
        history: a `keras.callbacks.History`, a dict from names to lists of numbers,
            or the path of a CSV as `keras.callbacks.CSVLogger` writes it.

    Raises:
        TypeError: if it is something else.
        ValueError: if it can't be read, or has no column of numbers.
    """
    if isinstance(history, keras.callbacks.History):
        history = history.history
    if isinstance(history, str | os.PathLike):
        history = _csv(history)
    if not isinstance(history, dict):
        raise TypeError(
            "Expected `history` to be a `keras.callbacks.History`, a dict of lists, "
            "or the path of a CSV as `keras.callbacks.CSVLogger` writes it. Received: "
            f"history={history!r} of type {type(history)}"
        )
    arrays = {str(name): _numbers(column) for name, column in history.items()}
    total = max(map(len, arrays.values()), default=0)
    columns = {name: _placed(values, total) for name, values in arrays.items()}
    columns = {name: pair for name, pair in columns.items() if len(pair[0])}
    if not columns.keys() - {"epoch"}:
        raise ValueError(
            "Expected `history` with columns of numbers, one an epoch. Received: the "
            f"columns {list(arrays)}, without any"
        )
    return columns


def metrics(columns):
    """Names of the metrics, without `val_`, in their order."""
    names = dict.fromkeys(name.removeprefix("val_") for name in columns)
    return [name for name in names if name not in OTHERS]


def _csv(path):
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, restval="NA"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            "Expected `history` to be the path of a CSV that can be read. Received: "
            f"history={os.fspath(path)!r}, {error}"
        ) from error
    names = rows[0] if rows else ()
    if rows and "epoch" not in names:
        raise ValueError(
            "Expected `history` to be a CSV as `keras.callbacks.CSVLogger` writes it, "
            f"with a column 'epoch'. Received: history={os.fspath(path)!r}, with the "
            f"columns {list(names)}"
        )
    # Keras has "NA" where an epoch had no validation.
    return {
        name: [np.nan if row[name] == "NA" else row[name] for row in rows]
        for name in names
    }


def _numbers(column):
    """An array with one number an epoch; none of what is no such column."""
    try:
        values = np.asarray(column, dtype="float64")
    except (TypeError, ValueError):
        return np.zeros(0)
    return values if values.ndim == 1 else np.zeros(0)


def _placed(values, total):
    """Epochs and values; what was measured every nth epoch has fewer of them."""
    stride = total // max(len(values), 1)
    epochs = stride * np.arange(1, len(values) + 1)
    there = np.isfinite(values)
    return epochs[there], values[there]
