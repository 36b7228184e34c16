"""Work that needs Keras on TensorFlow, where Keras runs on another backend.

It is done by the same functions in a process of its own, on the model's `.keras` file.
"""

import builtins
import contextlib
import contextvars
import os
import pickle
import subprocess
import sys
import tempfile
import warnings

import keras

from tf_admm.export import checking
from tf_admm.export import sending

#: Lines of what the other process printed that an error has, if it died.
LINES = 3
_open = contextvars.ContextVar("tf_admm_process", default=None)


def is_needed():
    """Whether Keras runs on another backend."""
    return keras.config.backend() != "tensorflow"


@contextlib.contextmanager
def process():
    """The other process: the one that is open already, or a new one.

    It starts at its first call, and ends with the outermost `with`.

    Raises:
        ImportError: if there is no TensorFlow.
    """
    current = _open.get()
    if current is not None:
        yield current
        return
    checking.check_packages(
        "what is done with the TensorFlow backend", ["tensorflow"], "tensorflow"
    )
    with tempfile.TemporaryDirectory() as folder:
        new = Process(folder)
        token = _open.set(new)
        try:
            yield new
        finally:
            _open.reset(token)
            new.close()


def process_if_needed():
    """As `process` where Keras runs on another backend; nothing where it doesn't."""
    return process() if is_needed() else contextlib.nullcontext()


def call(function, model, path, named, **options):
    """What a function returns, called here or, if need be, in the other process.

    Args:
        function: of a module, of a model, if there is one, and of a path.
        model: the Keras model, or `None`.
        path: where it writes to, or reads from.
        named: what messages call this path.
        options: all else; NumPy arrays and plain Python.
    """
    if not is_needed():
        return function(*[model] * (model is not None), path, **options)
    with process() as there:
        return there.call(function, model, path, named, **options)


class Process:
    """A process with Keras on TensorFlow.

    Args:
        folder: where files go to and from it; it ends with the process.
    """

    def __init__(self, folder):
        self._folder, self._calls, self._process = folder, 0, None

    def call(self, function, model, path, named, **options):
        """What a function returns there.

        Its errors and `UserWarning`s are raised here.

        Args:
            function: of a module, which is imported there.
            model: the Keras model that it is given first, or `None`.
            path: what it is given next: where it writes to, or reads from.
            named: what messages call this path.
            options: all else; NumPy arrays and plain Python.

        Raises:
            ValueError: if the model can't be saved, or loaded there.
            RuntimeError: if the process dies.
        """
        self._calls += 1
        path = os.path.abspath(path)
        request = {
            "function": (function.__module__, function.__name__),
            "path": path,
            "options": options,
        }
        request["settings"] = _settings()
        if model is not None:
            file = self._file("keras")
            request |= {"model": file, "modules": sending.saved(model, file)}
        with open(self._file("request"), "wb") as file:
            pickle.dump(request, file)
        with open(self._answered(), "rb") as file:
            reply = pickle.load(file)
        for message in reply["warnings"]:
            warnings.warn(message.replace(path, named), stacklevel=4)
        if reply["error"]:
            kind, message = reply["error"]
            raise _error(kind, message.replace(path, named))
        return reply["result"]

    def _file(self, ending):
        return os.path.join(self._folder, f"{self._calls}.{ending}")

    def _answered(self):
        """The path of the reply."""
        if self._process is None:
            self._start()
        try:
            self._process.stdin.write(f"{self._calls}\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            code, self._process = self._process.wait(), None
            raise RuntimeError(
                "Expected the process with the TensorFlow backend to answer. "
                f"Received: its end, with status {code}: {self._last_words()}"
            )
        return self._file("reply")

    def _start(self):
        here = os.getcwd()
        environment = {
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            # A device may be this process's alone, and rounds otherwise.
            "CUDA_VISIBLE_DEVICES": "-1",
            "PYTHONPATH": os.pathsep.join(path or here for path in sys.path),
            "TMPDIR": self._folder,
        }
        command = [sys.executable, "-P", "-m", "tf_admm.export.worker", self._folder]
        with open(os.path.join(self._folder, "log"), "wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
            )

    def _last_words(self):
        with open(os.path.join(self._folder, "log"), errors="replace") as file:
            return " ".join(file.read().split("\n")[-LINES - 1 :]).strip()

    def close(self):
        if self._process is not None:
            # Nothing of it is needed any more.
            self._process.kill()
            self._process.communicate()
            self._process = None


def _settings():
    return {
        "set_floatx": keras.config.floatx(),
        "set_epsilon": keras.config.epsilon(),
        "set_image_data_format": keras.config.image_data_format(),
    }


def _error(name, message):
    """The same error, or one of those that callers expect."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        return kind(message)
    return RuntimeError(f"{name}: {message}")
