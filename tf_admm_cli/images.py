"""Images: a folder with a folder for each class, by Keras' own loader."""

import contextlib
import io
import os

import keras

from tf_admm_cli import problems
from tf_admm_cli.problems import BadInput

CHANNELS = {1: "grayscale", 3: "rgb", 4: "rgba"}
#: Folders of parts, each with the folders of the classes.
PARTS = {"train": ("train",), "validation": ("val", "validation"), "test": ("test",)}
BATCH = 32


def load(folder, reading):
    """Datasets by part, numbers of rows by part, and the names of the classes.

    A folder without parts is divided, unless it is to be read whole: a tenth is for
    validation.
    """
    options = _options(folder, reading)
    found = _folders(folder)
    if reading.whole and "train" not in found:
        parts = {"train": _loaded(folder, reading, options)}
    elif "train" in found:
        parts = {name: _loaded(path, reading, options) for name, path in found.items()}
    else:
        train, aside = _loaded(
            folder,
            reading,
            options | {"validation_split": 0.1, "subset": "both"},
        )
        parts = {"train": train, "validation": aside}
    _check_readable([p for part in parts.values() for p in part.file_paths], reading)
    rows = {name: len(part.file_paths) for name, part in parts.items()}
    classes = parts["train"].class_names
    _check_classes(classes, reading)
    scaled = {name: _scaled(part, reading.scale) for name, part in parts.items()}
    return scaled, rows, classes


def _folders(folder):
    return {
        part: os.path.join(folder, name)
        for part, names in PARTS.items()
        for name in names
        if os.path.isdir(os.path.join(folder, name))
    }


def _options(folder, reading):
    shapes = list(reading.spec.inputs.values())
    sizes = shapes[0][1:] if len(shapes) == 1 else ()
    if len(sizes) != 3 or None in sizes or sizes[2] not in CHANNELS:
        raise BadInput(
            reading.name,
            "Expected a model of one image, of known height and width, for a folder. "
            f"Received: {folder}, and inputs of the shapes {reading.spec.inputs}",
        )
    return {
        "image_size": sizes[:2],
        "color_mode": CHANNELS[sizes[2]],
        "label_mode": reading.label_mode,
        "batch_size": BATCH,
        "seed": reading.seed,
        "verbose": False,
    }


def _loaded(path, reading, options):
    try:
        # Keras prints how many files there are, whatever is asked of it.
        with contextlib.redirect_stdout(io.StringIO()):
            return keras.utils.image_dataset_from_directory(path, **options)
    except Exception as error:  # noqa: BLE001, whatever a folder leads to
        raise BadInput(
            reading.name,
            "Expected a folder with a folder of images for each class. Received: "
            f"{path} ({problems.last_line(error)})",
        ) from error


def _check_readable(paths, reading):
    """Raise if an image is broken, which Keras would see only as it comes to it."""
    import tensorflow as tf

    def read(path):
        image = tf.io.decode_image(tf.io.read_file(path), expand_animations=False)
        return path, tf.shape(image)

    files = tf.data.Dataset.from_tensor_slices(paths)
    good = files.map(read, tf.data.AUTOTUNE).ignore_errors()
    broken = sorted(
        set(paths) - {path.decode() for path, _ in good.as_numpy_iterator()}
    )
    if broken:
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise BadInput(
            reading.name,
            f"Expected images that can be read. Received: {broken[0]}{more}, which "
            "can't",
        )


def _check_classes(classes, reading):
    outputs = reading.spec.classes
    most = 2 if outputs == 1 else outputs
    if len(classes) < 2 or (most is not None and len(classes) > most):
        raise BadInput(
            reading.name,
            f"Expected from 2 to {most} folders, one for each class. Received: "
            f"{len(classes)}: {', '.join(classes[:12])}",
        )


def _scaled(dataset, scale):
    if scale is None:
        return dataset
    return dataset.map(lambda x, y: (x * scale, y))
