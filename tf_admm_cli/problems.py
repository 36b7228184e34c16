"""What can go wrong, each as one line."""

import re


class BadInput(Exception):
    """What was given is wrong, and nothing has been done: exit code 2.

    Args:
        name: the flag, `--output`, or the argument, `DATA`, that is wrong.
        text: what was expected, and what was received.
    """

    def __init__(self, name, text):
        super().__init__(f"{name}: {line(text)}")


def line(text):
    """A text of several lines as one."""
    return " ".join(str(text).split())


def gist(error):
    """An exception as one line."""
    return line(error) or type(error).__name__


def last_line(error):
    """An exception's kind, and the last line of what it says."""
    lines = str(error).strip().splitlines() or [""]
    return line(f"{type(error).__name__}: {lines[-1]}")


def of_library(error, flags):
    """The `BadInput` that an error of the library comes to, or `None`.

    The library checks its arguments itself, by TypeError and ValueError. Those that
    another package raises are no checks.

    Args:
        error: the exception.
        flags: names of the flags of the command.
    """
    if not isinstance(error, TypeError | ValueError) or not _is_own(error):
        return None
    return BadInput(_flag(str(error), flags), error)


def _is_own(error):
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_globals["__name__"].split(".")[0] == "tf_admm"


#: Arguments of the library that are no flags.
POSITIONAL = {"model": "MODEL", "data": "DATA", "samples": "DATA", "x": "DATA"}


def _flag(text, flags):
    """The flag, or else the argument, that a message speaks of first."""
    names = POSITIONAL | {flag: f"--{flag}" for flag in flags}
    spoken = [quoted or equal for quoted, equal in re.findall(r"`(\w+)`|(\w+)=", text)]
    return next((names[name] for name in spoken if name in names), "MODEL")
