"""The files that a model can be deployed as, each measured."""

import dataclasses
import os
import statistics
import time
import warnings

import keras
import numpy as np

from tf_admm import costs
from tf_admm import kernels
from tf_admm import shrinking
from tf_admm.export import to_tflite

#: Runs of each file that latency is the median of.
TURNS = 51


@dataclasses.dataclass
class Variant:
    """One file.

    Attributes:
        name: what it is.
        bytes, gzip_bytes: of the file.
        macs: multiplications of one sample; `None` where the model's shapes are not
            known.
        macs_left: those by weights that are not zero.
        milliseconds: median of one run of one sample on one thread.
        speedup: median over the turns of the dense file's time over this one's.
        accuracy: on the given data, or `None`.
        note: what was not as asked.
    """

    name: str
    bytes: int
    gzip_bytes: int
    macs: int | None
    macs_left: int | None
    note: str
    milliseconds: float = 0.0
    speedup: float = 1.0
    accuracy: float | None = None


def made(model, representative, folder):
    """Write every variant to the folder.

    Returns:
        `(paths, failed)`: pairs of a `Variant` and a path, and a dict from the names
        of those that can't be made to why.
    """
    small, _ = shrinking.shrink(model)
    plans = {
        "dense float32": (model, {"sparse": False}),
        "sparse float32": (model, {}),
        "sparse float16": (model, {"dtype": "float16"}),
        "shrunk float32": (small, {"sparse": False}),
        "shrunk, sparse float32": (small, {}),
        "shrunk, sparse float16": (small, {"dtype": "float16"}),
    }
    if representative is not None:
        options = {"dtype": "int8", "representative": representative}
        plans["int8"] = (model, options)
        plans["shrunk int8"] = (small, options)
    paths, failed = [], {}
    for i, (name, (what, options)) in enumerate(plans.items()):
        path = os.path.join(folder, f"{i}.tflite")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                exported = to_tflite(what, path, **options)
            except RuntimeError as error:
                failed[name] = str(error)
                continue
        variant = Variant(
            name=name,
            bytes=exported.bytes,
            gzip_bytes=exported.gzip_bytes,
            macs=macs(what, zeros=True),
            macs_left=macs(what, zeros=False),
            note=" ".join(str(warning.message) for warning in caught),
        )
        paths.append((variant, path))
    return paths, failed


def check(model, data):
    """Raise, before any work, if the model or the labels are of another kind."""
    costs.zeros(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Expected a model of one input and one output. Received: the model "
            f"'{model.name}' of {len(model.inputs)} and {len(model.outputs)}"
        )
    if data is None:
        return
    shape, classes = np.shape(data[1]), model.outputs[0].shape[-1]
    if np.prod(shape[1:]) != 1 or classes < 2:
        raise ValueError(
            "Expected one label a row, the number of a class, and an output for each "
            f"class. Received: labels of shape {shape}, and {classes} outputs"
        )


def macs(model, zeros):
    """Multiplications of one sample by the weights, zeros included or not."""
    try:
        uses = costs.uses(model)
    except ValueError:
        return None
    return sum(
        uses.get(id(kernel.variable), 0)
        * (kernel.size if zeros else np.count_nonzero(np.array(kernel.variable)))
        for kernel in kernels.find(model)
    )


def measure(paths, data):
    """Latency of all variants in turn, and their accuracy on the data."""
    runners = [_Runner(path) for _, path in paths]
    seconds = [[] for _ in runners]
    for _ in range(TURNS):
        for times, runner in zip(seconds, runners):
            times.append(runner.seconds())
    for (variant, _), times, runner in zip(paths, seconds, runners):
        variant.milliseconds = 1000 * statistics.median(times)
        variant.speedup = statistics.median(a / b for a, b in zip(seconds[0], times))
        if data is not None:
            variant.accuracy = runner.accuracy(*data)


class _Runner:
    """A file on one thread, of one input and one output."""

    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        (self._source,) = self._interpreter.get_input_details()
        (self._result,) = self._interpreter.get_output_details()
        self._set(np.zeros(self._source["shape"], self._source["dtype"]))

    def _set(self, x):
        self._interpreter.set_tensor(self._source["index"], x)

    def seconds(self):
        start = time.thread_time()
        self._interpreter.invoke()
        return time.thread_time() - start

    def accuracy(self, x, y):
        """Share of rows whose largest output is at the label."""
        right = 0
        for row, label in zip(x, y):
            self._set(np.asarray(row, self._source["dtype"])[None])
            self._interpreter.invoke()
            scores = self._interpreter.get_tensor(self._result["index"])
            right += int(scores.argmax() == np.ravel(label)[0])
        return right / len(x)


def prospect(kernel):
    """Whether zeros in this kernel can make it faster, and where."""
    if isinstance(kernel.layer, keras.layers.Dense):
        return "yes, as float32: runs sparse on any CPU"
    if kernel.shape[:-2] == (1, 1):
        return "only where XNNPACK runs it sparse: not on x86 with AVX"
    return "no: made dense as the file is loaded; fewer filters would"
