"""Data: files of several kinds, made into what Keras takes."""

import dataclasses
import os
from typing import Any

import keras
import numpy as np

from tf_admm_cli import arrays
from tf_admm_cli import columns
from tf_admm_cli import images
from tf_admm_cli import quiet
from tf_admm_cli.problems import BadInput

#: Rows that int8 is calibrated on.
REPRESENTATIVE = 500


@dataclasses.dataclass
class Data:
    """What was read.

    Attributes:
        train, validation, test: each `(x, y)`, `(x, y, sample_weight)`, a
            `tf.data.Dataset`, or `None` where the files have no such part.
        rows: dict from these names to numbers of rows.
        classes: what the class numbers stand for, or `None`.
    """

    train: Any
    validation: Any = None
    test: Any = None
    rows: dict = dataclasses.field(default_factory=dict)
    classes: list | None = None

    @property
    def held_out(self):
        """The name of the part that results are measured on."""
        return "test" if self.test is not None else "train"


@dataclasses.dataclass(frozen=True)
class Reading:
    """How data is read.

    Attributes:
        name: the flag or argument that the paths were given by, for messages.
        spec: the `Spec` of the model.
        target: name of the column of labels of a CSV.
        scale: what inputs are multiplied by, or `None`.
        seed: of an image folder's split.
        label_mode: of images: `"int"`, `"binary"` or `"categorical"`.
        classes: what class numbers stand for in data that was read before.
        labels: whether labels are needed.
        whole: whether nothing is set aside for validation.
    """

    name: str
    spec: Any
    target: str | None = None
    scale: float | None = None
    seed: int = 0
    label_mode: str = "int"
    classes: list | None = None
    labels: bool = True
    whole: bool = False


def load(paths, reading):
    """Read data that `paths.check_data` has passed.

    Args:
        paths: list of one, or two for a pair of .npy files.
        reading: the `Reading`.

    Returns:
        A `Data`.

    Raises:
        BadInput: if it can't be read, or does not fit the model.
    """
    if os.path.isdir(paths[0]):
        parts, rows, classes = images.load(paths[0], reading)
        return Data(**parts, rows=rows, classes=classes)
    classes = None
    if paths[0].lower().endswith(".csv"):
        parts, classes = columns.load(paths[0], reading)
    else:
        parts = arrays.load(paths, reading)
    scaled = {name: _scaled(part, reading.scale) for name, part in parts.items()}
    rows = {name: count(part) for name, part in parts.items()}
    return Data(**scaled, rows=rows, classes=classes)


def _scaled(part, scale):
    if scale is None:
        return part
    if not np.isfinite(scale):
        raise BadInput("--scale", f"Expected a finite number. Received: {scale}")
    x = keras.tree.map_structure(lambda a: a.astype("float32") * scale, part[0])
    return (x, *part[1:])


def check_batches(given, data):
    """Raise if `--batch_size` is given for images, which Keras has put into batches."""
    if "batch_size" in given.present and not isinstance(data.train, tuple):
        raise BadInput(
            "--batch_size",
            "Expected DATA of arrays with it; images come 32 at a time. Received: "
            f"--batch_size={given.batch_size}, a folder",
        )


def count(part):
    """Number of rows of arrays."""
    return len(keras.tree.flatten(part[0])[0])


def steps(part, batch_size):
    """Number of batches of an epoch."""
    return -(-count(part) // batch_size) if isinstance(part, tuple) else len(part)


def inputs(paths, reading):
    """The first inputs alone, as arrays, to calibrate int8 on."""
    found = load(paths, dataclasses.replace(reading, labels=False, whole=True))
    if os.path.isdir(paths[0]):
        rows = [x for x, _ in found.train.unbatch().take(REPRESENTATIVE)]
        return np.stack(rows)
    return keras.tree.map_structure(lambda a: a[:REPRESENTATIVE], found.train[0])


def given(part):
    """A part as keyword arguments of `fit` and `evaluate`."""
    if isinstance(part, tuple):
        return dict(zip(("x", "y", "sample_weight"), part))
    return {"x": part}


def split(data, seed):
    """The training part, and the validation part, or a tenth set aside for it."""
    if data.validation is not None:
        return data.train, data.validation
    rows = data.rows["train"]
    if rows < 2:
        raise BadInput("DATA", f"Expected at least 2 rows. Received: {rows}")
    order = np.random.default_rng(seed).permutation(rows)
    aside = max(1, rows // 10)
    return _taken(data.train, order[aside:]), _taken(data.train, order[:aside])


def _taken(part, rows):
    return keras.tree.map_structure(lambda a: a[rows], part)


def first(part, rows):
    """The first rows, as `(x, y)`."""
    if isinstance(part, tuple):
        return keras.tree.map_structure(lambda a: a[:rows], part[:2])
    x, y = next(iter(part))
    return x.numpy()[:rows], y.numpy()[:rows]


def warn_of_scale(data, model, scale):
    """Say so if images from 0 to 255 go into a model that may not expect them."""
    x, _ = first(data.train, 64)
    image = not keras.tree.is_nested(x) and np.ndim(x) == 4 and np.max(x) > 1.5
    if image and scale is None and np.all(x == np.round(x)) and not _rescales(model):
        quiet.note(
            "the inputs are whole numbers, and the model has no Rescaling or "
            "Normalization layer. If it was trained on 0...1, give "
            "--scale=0.00392157."
        )


def _rescales(model):
    own = (keras.layers.Rescaling, keras.layers.Normalization)
    return any(
        isinstance(layer, own) or (isinstance(layer, keras.Model) and _rescales(layer))
        for layer in model.layers
    )
