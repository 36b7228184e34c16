"""What the pages of the documentation speak of: a trained model, and its data.

A page finds `model` and the arrays of `NAMES` among its names, and the files
`model.keras` and `data.npz` in its folder. What else it uses, it imports or makes.
"""

import functools
import pathlib
import re

import keras
import numpy as np
from keras import layers

ROOT = pathlib.Path(__file__).resolve().parents[1]
SITE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
ELSEWHERE = ("benchmarks/README.md", "saved_models/README.md")
NAMES = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
ROWS = 96
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def pages():
    """Paths of all pages, from the root of the repository."""
    found = [path.relative_to(ROOT) for path in ROOT.glob("docs/**/*.md")]
    return sorted([*SITE, *map(str, found)])


def text(page):
    return (ROOT / page).read_text()


def blocks(page, language):
    """`(first line, code)` of each block of a language."""
    whole = text(page)
    for match in FENCE.finditer(whole):
        indent, found, code = match.groups()
        if found == language:
            line = whole[: match.start()].count("\n") + 2
            yield line, re.sub(f"^{indent}", "", code, flags=re.MULTILINE)


@functools.cache
def data():
    """Scanned digits of 8 x 8 pixels, three parts."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 16).astype("float32")
    parts = [slice(i * ROWS, (i + 1) * ROWS) for i in range(3)]
    return dict(zip(NAMES, (a[part] for part in parts for a in (x, y))))


def network():
    """Trained for a moment, and compiled."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv2"),
            layers.Flatten(name="flatten"),
            layers.Dense(32, activation="relu", name="fc1"),
            layers.Dense(10, name="fc2"),
        ],
        name="digits",
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(data()["x_train"], data()["y_train"], epochs=20, verbose=0)
    return model


def furnish(folder):
    """Write the files that pages speak of."""
    network().save(folder / "model.keras")
    np.savez(folder / "data.npz", **data())


def namespace(folder):
    """What a page begins with."""
    keras.utils.set_random_seed(0)
    model = keras.saving.load_model(folder / "model.keras")
    return {"__name__": "page", "model": model, **data()}
