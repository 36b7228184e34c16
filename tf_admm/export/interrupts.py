"""A Ctrl-C that Python would lose."""

import contextlib
import sys


@contextlib.contextmanager
def kept():
    """Raise, as this ends, a `KeyboardInterrupt` that came where Python ignores it.

    As in a `__del__`: TensorFlow's converter collects garbage, its own graphs among it,
    which takes a good part of its time.
    """
    lost, shown = [], sys.unraisablehook

    def note(ignored):
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            lost.append(ignored.exc_type)
        else:
            shown(ignored)

    sys.unraisablehook = note
    try:
        yield
    finally:
        sys.unraisablehook = shown
        if lost:
            raise KeyboardInterrupt
