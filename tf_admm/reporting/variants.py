"""The files that a model can be deployed as, each measured."""

import dataclasses
import os
import statistics
import warnings

import numpy as np

from tf_admm import shrinking
from tf_admm.export import elsewhere
from tf_admm.export import to_tflite
from tf_admm.export.tflite import saving
from tf_admm.export.tflite.signature import Signature
from tf_admm.reporting.running import Runner
from tf_admm.structure import kernels
from tf_admm.structure import uses

#: How `to_tflite` is called for each variant.
OPTIONS = {
    "dense float32": ", sparse=False",
    "sparse float32": "",
    "sparse float16": ', dtype="float16"',
    "dense float16": ', dtype="float16", sparse=False',
    "int8": ', dtype="int8", representative=inputs',
}
#: What `to_tflite` warns of where there is nothing to gain, and no fault.
NOT_SMALLER = r"(?s).*dense file instead.*the sparse file is not smaller"
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
        metric: on the given data, or `None`.
        note: what was not as asked.
        dtype: of the weights, as `to_tflite` takes it.
        is_candidate: whether it may be shipped; others are there to compare with.
    """

    name: str
    bytes: int
    gzip_bytes: int
    macs: int | None
    macs_left: int | None
    note: str
    milliseconds: float = 0.0
    speedup: float = 1.0
    metric: float | None = None
    dtype: str = "float32"
    is_candidate: bool = True


def made(model, representative, folder, samples):
    """Write every variant to the folder.

    Args:
        model: the Keras model.
        representative: inputs for int8, or `None`.
        folder: where the files go.
        samples: inputs that the files are run on and compared by.

    Returns:
        `(files, failed)`: pairs of a `Variant` and a `Runner`, and a dict from the
        names of those that can't be made to why.
    """
    failed, wanted = {}, plans(model, representative, samples)
    try:
        small, _ = shrinking.shrink(model, samples, verbose=0)
        wanted |= plans(small, representative, samples, "shrunk ")
    except (RuntimeError, ValueError) as error:
        failed["shrunk"] = str(error)
    files, others = written(wanted, folder, samples)
    return files, failed | others


def written(wanted, folder, samples):
    """Write files, each named as its variant is, to the folder.

    Where no sparse file is smaller, the dense one has the name of a dense one, and is
    left out if there is such a file already.

    Args:
        wanted: dict from names to a model and the options of `to_tflite`. The first is
            what all else is measured beside.
        folder, samples: as in `made`.

    Returns:
        As `made`.
    """
    files, failed = [], {}
    # If a process of its own writes files, one writes them all.
    with elsewhere.process_if_needed(), saving.sharing():
        for name, (model, options) in wanted.items():
            try:
                path = os.path.join(folder, file_name(name))
                exported, note = _exported(model, path, options)
                name = _true(name, exported, wanted)
                files.append(_measurable(name, model, exported, note, samples))
            except RuntimeError as error:
                if not files:
                    raise
                failed[name] = str(error)
    return files, failed


def _exported(model, path, options):
    """What `to_tflite` returns, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        # The file's name and its bytes say so.
        warnings.filterwarnings("ignore", NOT_SMALLER, UserWarning)
        exported = to_tflite(model, path, **options)
    return exported, " ".join(_without(path, warning.message) for warning in caught)


def _true(name, exported, wanted):
    """The name of a file that is dense where a sparse one was asked for.

    Raises:
        RuntimeError: if another one is called so.
    """
    if not exported.fallback or "sparse" not in name:
        return name
    name = name.replace("sparse", "dense")
    if name in wanted:
        raise RuntimeError(exported.fallback)
    return name


def _measurable(name, model, exported, note, samples):
    """A `Variant` and its `Runner`, the file called by the name."""
    path = os.path.join(os.path.dirname(exported.path), file_name(name))
    os.replace(exported.path, path)
    variant = Variant(
        name=name,
        bytes=exported.bytes,
        gzip_bytes=exported.gzip_bytes,
        macs=macs(model, samples, zeros=True),
        macs_left=macs(model, samples, zeros=False),
        note=note,
        dtype=exported.dtype,
    )
    return variant, Runner(path, Signature(model))


def _without(path, message):
    """A message about a file that may be gone by the time it is read."""
    return str(message).removeprefix(f"{path}: ")


def file_name(name):
    """`sparse float32` -> `sparse_float32.tflite`."""
    return f"{name.replace(' ', '_')}.tflite"


def plans(model, representative, samples, prefix=""):
    """The model and the options of `to_tflite` by the name of each variant."""
    options = {
        "dense float32": {"sparse": False, "samples": samples},
        "sparse float32": {"samples": samples},
        "sparse float16": {"dtype": "float16", "samples": samples},
    }
    if representative is not None:
        options["int8"] = {"dtype": "int8", "representative": representative}
    return {prefix + name: (model, given) for name, given in options.items()}


def recipe(variant):
    """The lines of Python that write a variant's file, or `None` for one of others."""
    name = variant.name.removeprefix("shrunk ")
    if name not in OPTIONS:
        return None
    line = f'tf_admm.export.to_tflite(model, "model.tflite"{OPTIONS[name]})'
    shrink = ["model, _ = tf_admm.shrink(model)"] * (name != variant.name)
    return "\n".join([*shrink, line])


def macs(model, samples, zeros):
    """Multiplications of one sample by the weights, zeros included or not."""
    try:
        counts = uses.uses(model, samples)
    except ValueError:
        return None
    return sum(
        int(counts.get(id(kernel.variable), 0))
        * (kernel.size if zeros else int(np.count_nonzero(np.array(kernel.variable))))
        for kernel in kernels.find(model)
    )


def used(model, samples):
    """How often a weight of each kernel is multiplied for one sample, by path.

    Empty where the model's shapes are not known.
    """
    try:
        counts = uses.uses(model, samples)
    except ValueError:
        return {}
    found = kernels.find(model)
    return {kernel.path: counts.get(id(kernel.variable), 0) for kernel in found}


def measure(files, row, judge):
    """Latency of all variants in turn, on one row, and the metric on the data."""
    for _, runner in files:
        runner.set(row)
    seconds = [[] for _ in files]
    for _ in range(TURNS):
        for times, (_, runner) in zip(seconds, files):
            times.append(runner.seconds())
    for times, (variant, runner) in zip(seconds, files):
        variant.milliseconds = 1000 * statistics.median(times)
        variant.speedup = statistics.median(a / b for a, b in zip(seconds[0], times))
        if judge is not None:
            variant.metric = judge.value(runner.answers(judge.outputs))
