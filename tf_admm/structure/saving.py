"""Keras files as small as their zeros make them."""

import os
import shutil
import zipfile

import keras

from tf_admm import files
from tf_admm.structure import checks


def save_compressed(model: keras.Model, path: str | os.PathLike) -> int:
    """Save a model as a `.keras` file whose entries are deflated.

    `keras.Model.save` stores them as they are, so that the zeros of a pruned model
    take as much room as other weights. The file holds the same, bit for bit, and
    `keras.saving.load_model` reads it as any other. It is there whole, or not at all.

    Args:
        model: a built Keras model.
        path: name of the file, which ends in `.keras`.

    Returns:
        The number of bytes of the file.

    Raises:
        TypeError: if the model is no Keras model.
        ValueError: if it isn't built, or the name ends otherwise.

    Example:

    >>> model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(100)])
    >>> model.layers[0].kernel.assign(np.zeros((300, 100)))
    <...>
    >>> tf_admm.save_compressed(model, "pruned.keras") < 20_000
    True
    """
    checks.check_built(model)
    if not os.fspath(path).endswith(".keras"):
        raise ValueError(
            f"Expected a `path` that ends in '.keras'. Received: path={path}"
        )
    # Keras asks for the ending.
    plain = f"{os.fspath(path)}.plain.keras"
    try:
        model.save(plain)
        with files.replacing(path) as temporary:
            _deflate(plain, temporary)
            size = os.path.getsize(temporary)
    finally:
        if os.path.exists(plain):
            os.remove(plain)
    return size


def _deflate(source, target):
    with (
        zipfile.ZipFile(source) as stored,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as deflated,
    ):
        for entry in stored.infolist():
            with (
                stored.open(entry) as reader,
                deflated.open(entry.filename, "w", force_zip64=True) as writer,
            ):
                shutil.copyfileobj(reader, writer, 2**20)
