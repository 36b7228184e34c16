"""What of the libraries' talk is shown: nothing, unless asked for."""

import contextlib
import logging
import os
import re
import sys
import tempfile
import traceback
import warnings

from tf_admm_cli.problems import line


def note(text):
    """A line for the user, which is no result."""
    print(f"Note: {line(text)}", file=sys.stderr)


@contextlib.contextmanager
def silenced(verbosity, redirect):
    """Nothing is shown but notes, while this lasts.

    Args:
        verbosity: 1 to change nothing.
        redirect: whether file descriptor 2, which C++ libraries write to, goes to the
            log for the rest of the process, while `sys.stderr` stays where it is.

    Yields:
        The `Log`.
    """
    with warnings.catch_warnings(), _levels("absl", "tensorflow"), Log() as log:
        if not verbosity:
            _silence_libraries("absl", "tensorflow")
        if redirect and not verbosity:
            _redirect(log)
        yield log


@contextlib.contextmanager
def _levels(*names):
    """Put the levels of these loggers back."""
    before = {name: logging.getLogger(name).level for name in names}
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _silence_libraries(*names):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    # By the module that the warning is about: `tf_admm` or `tf_admm_cli`.
    warnings.filterwarnings("default", category=UserWarning, module="tf_admm")
    warnings.showwarning = lambda message, *_, **__: note(_of_flags(str(message)))


def _of_flags(text):
    """Advice of the library, in the words of the command."""
    text = text.replace(" in `ADMMCallback`", "")
    return re.sub(r"`?\b(rho|update_freq)=([\w.+-]+)`?", r"--\1=\2", text)


def _redirect(log):
    # Line by line, as standard error is.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(log.file.fileno(), 2)


class Log:
    """A file of what was not shown, kept only if something has failed."""

    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile(
            "w", prefix="tf-admm-", suffix=".log", delete=False
        )
        self.path = self.file.name
        self._keep = False
        return self

    def keep(self, error):
        """Add an exception, and keep the file."""
        self._keep = True
        self.file.write("".join(traceback.format_exception(error)))
        self.file.flush()

    def __exit__(self, *_):
        self.file.close()
        if not self._keep:
            os.remove(self.path)
