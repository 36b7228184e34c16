"""The files that a model can be deployed as, each measured."""

import dataclasses
import os
import statistics
import time
import warnings

import keras
import numpy as np

from tf_admm import shrinking
from tf_admm.export import to_tflite
from tf_admm.structure import kernels
from tf_admm.structure import uses

L = keras.layers
#: What the converter makes fully-connected layers of, or not, by its shapes.
PERHAPS = (L.EinsumDense, L.SimpleRNNCell, L.LSTMCell, L.GRUCell)
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
    paths, failed, plans = [], {}, _plans(model, representative)
    try:
        small, _ = shrinking.shrink(model, verbose=0)
        plans |= _plans(small, representative, "shrunk ")
    except (RuntimeError, ValueError) as error:
        failed["shrunk"] = str(error)
    for i, (name, (what, options)) in enumerate(plans.items()):
        path = os.path.join(folder, f"{i}.tflite")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                exported = to_tflite(what, path, **options)
            except RuntimeError as error:
                if not paths:
                    # All else is measured beside the dense file.
                    raise
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


def _plans(model, representative, prefix=""):
    """The model and the options of `to_tflite` by the name of each variant."""
    options = {
        "dense float32": {"sparse": False},
        "sparse float32": {},
        "sparse float16": {"dtype": "float16"},
    }
    if representative is not None:
        options["int8"] = {"dtype": "int8", "representative": representative}
    return {prefix + name: (model, given) for name, given in options.items()}


def check(model, data):
    """Raise, before any work, if the model or the labels are of another kind."""
    uses.zeros(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Expected a model of one input and one output. Received: the model "
            f"'{model.name}' of {len(model.inputs)} and {len(model.outputs)}"
        )
    if data is not None:
        _check_data(model, data)


def _check_data(model, data):
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ValueError(
            "Expected `data` to be a pair of arrays, inputs and labels. Received: "
            f"data of type {type(data)}"
        )
    inputs, labels = (np.shape(part) for part in data)
    one, scores = model.inputs[0].shape, model.outputs[0].shape
    if inputs[1:] != one[1:] or labels[:1] != inputs[:1] or not inputs[0]:
        raise ValueError(
            f"Expected inputs of shape {one}, and as many labels. Received: inputs of "
            f"shape {inputs}, and labels of shape {labels}"
        )
    if np.prod(labels[1:]) != 1 or len(scores) != 2 or scores[-1] < 2:
        raise ValueError(
            "Expected one label a row, the number of a class, and an output for each "
            f"class. Received: labels of shape {labels}, and outputs of shape {scores}"
        )
    if np.min(data[1]) < 0 or np.max(data[1]) >= scores[-1]:
        raise ValueError(
            f"Expected labels from 0 to {scores[-1] - 1}. Received: labels from "
            f"{np.min(data[1])} to {np.max(data[1])}"
        )


def macs(model, zeros):
    """Multiplications of one sample by the weights, zeros included or not."""
    try:
        counts = uses.uses(model)
    except ValueError:
        return None
    return sum(
        counts.get(id(kernel.variable), 0)
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
    if isinstance(kernel.layer, PERHAPS):
        return "if the file runs it as a fully-connected layer, as float32"
    if kernel.shape[:-2] == (1, 1):
        return "only where XNNPACK runs it sparse: not on x86 with AVX"
    return "no: made dense as the file is loaded; fewer filters would"
