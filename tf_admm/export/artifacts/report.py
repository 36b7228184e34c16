"""What was written: its size, its accuracy, and the zeros that are in it."""

import dataclasses
import gzip
import os

import numpy as np

from tf_admm.structure import kernels


@dataclasses.dataclass(frozen=True)
class Stored:
    """A weight of two axes or more, as it is in the file.

    Attributes:
        name: what the file calls it.
        shape: tuple, in the file's axis order.
        zeros: how many of its entries are zero.
    """

    name: str
    shape: tuple
    zeros: int

    @property
    def size(self):
        return int(np.prod(self.shape))


@dataclasses.dataclass(frozen=True)
class ArtifactReport:
    """What `to_onnx` or `to_saved_model` has written.

    Attributes:
        path: the file or folder.
        format: `"onnx"` or `"saved_model"`.
        bytes: its size.
        gzip_bytes: that of its files after gzip, level 9.
        max_difference: the largest absolute difference to the Keras model, of the
            output that came closest to its tolerance.
        tolerance: the largest difference allowed for that output.
        weights: tuple of `Stored`. What a converter has made of one kernel may be
            several, or one of several.
        model_zeros: zeros in the kernels of the model.
    """

    path: str
    format: str
    bytes: int
    gzip_bytes: int
    max_difference: float
    tolerance: float
    weights: tuple
    model_zeros: int

    @property
    def zeros(self):
        """Zeros in all `weights`."""
        return sum(weight.zeros for weight in self.weights)

    def __str__(self):
        total = sum(weight.size for weight in self.weights)
        rows = [
            ("path", self.path),
            ("format", self.format),
            ("size", f"{self.bytes:,} bytes ({self.gzip_bytes:,} gzipped)"),
            (
                "difference",
                f"{self.max_difference:.2e} (allowed: {self.tolerance:.2e})",
            ),
            ("weights", f"{len(self.weights)}: {self.zeros:,} zeros of {total:,}"),
            ("model", f"{self.model_zeros:,} zeros"),
        ]
        return "\n".join(f"{name:<16}{value}" for name, value in rows)


def report(model, path, kind, weights, found):
    """The `ArtifactReport` of what is at a path.

    Args:
        model: the Keras model.
        path: a file or folder.
        kind: its format.
        weights: pairs of a name and an array.
        found: the `Comparison` of its outputs.
    """
    sizes = [_sizes(file) for file in _files(path)]
    return ArtifactReport(
        path=path,
        format=kind,
        bytes=sum(size for size, _ in sizes),
        gzip_bytes=sum(size for _, size in sizes),
        max_difference=found.difference,
        tolerance=found.tolerance,
        weights=tuple(
            Stored(name, array.shape, _zeros(array))
            for name, array in weights
            if array.ndim > 1
        ),
        model_zeros=sum(_zeros(np.array(k.variable)) for k in kernels.find(model)),
    )


def _zeros(array):
    return int(array.size - np.count_nonzero(array))


def _files(path):
    if os.path.isfile(path):
        return [path]
    return [os.path.join(at, name) for at, _, names in os.walk(path) for name in names]


def _sizes(path):
    with open(path, "rb") as file:
        data = file.read()
    return len(data), len(gzip.compress(data, 9, mtime=0))
