"""Results: a record for machines, tables for people."""

import contextlib
import dataclasses
import io
import math
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

#: Columns where standard output is no terminal.
WIDTH = 120


@dataclasses.dataclass
class Result:
    """What a command came to.

    Attributes:
        record: dict of plain JSON.
        shown: list of what rich can print, and of text.
    """

    record: dict
    shown: list[Any]


def show(items):
    """Print tables and text."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH, soft_wrap=False)
    for item in items:
        console.print(item, markup=False, highlight=False)


def aside():
    """What prints a bar to standard output prints it to standard error, or nowhere."""
    stream = sys.stderr if sys.stderr.isatty() else io.StringIO()
    return contextlib.redirect_stdout(stream)


def table(title, rows):
    """Two columns: names and values."""
    found = Table(title=title, show_header=False, title_justify="left")
    found.add_column("name")
    found.add_column("value", overflow="fold")
    for name, value in rows.items():
        found.add_row(name, text(name, value))
    return found


def text(name, value):
    """A value as a person reads it; accuracies in percent."""
    if value is None:
        return "-"
    if isinstance(value, float) and "accuracy" in name:
        return f"{value:.2%}"
    return f"{value:,.6g}" if isinstance(value, float) else _whole(value)


def _whole(value):
    return f"{value:,}" if isinstance(value, int) else str(value)


def plain(value):
    """A number that JSON can hold; `None` for one that is not finite."""
    value = float(value)
    return value if math.isfinite(value) else None


def fields(item, *names):
    """Some attributes of an object as a dict."""
    return {name: getattr(item, name) for name in names}
