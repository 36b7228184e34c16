"""Data sets for the scripts: images in [0, 1], split in three."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclasses.dataclass
class Data:
    """Pairs `(x, y)`: x float32 `(n, height, width, channels)`, y int."""

    train: tuple
    validation: tuple
    test: tuple


def _crop(x, seed, pixels):
    """Each image moved by at most so many pixels along each axis, zeros moving in."""
    _, height, width, _ = x.shape
    padded = tf.pad(x, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])
    shape = [tf.shape(x)[0], 2]
    start = tf.random.stateless_uniform(shape, seed, 0, 2 * pixels + 1, tf.int32)
    rows = start[:, :1] + tf.range(height)
    columns = start[:, 1:] + tf.range(width)
    moved = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(moved, columns, axis=2, batch_dims=1)


def _crop_and_flip(x, seed):
    x = _crop(x, seed, 4)
    left = tf.random.stateless_uniform([tf.shape(x)[0], 1, 1, 1], seed + 1) < 0.5
    return tf.where(left, x[:, :, ::-1], x)


#: What is done to the images of a batch, given two integers as a seed.
AUGMENTATIONS = {
    "none": lambda x, seed: x,
    "shift": lambda x, seed: _crop(x, seed, 1),
    "crop_and_flip": _crop_and_flip,
}


class Shuffled(keras.callbacks.Callback):
    """Batches whose order is a function of (seed, epoch).

    Keras' own shuffling of arrays starts over in a run that is restored, so a
    run killed and started again would see other batches. Give `fit` the
    `batches`, and this object among its callbacks, which tells it the epoch.

    Args:
        x: array of inputs.
        y: array of targets.
        batch_size: int.
        seed: int.
        augmentation: a key of `AUGMENTATIONS`.
    """

    def __init__(self, x, y, batch_size, seed, augmentation="none"):
        super().__init__()
        self.steps = -(-len(x) // batch_size)
        epoch = self._epoch = tf.Variable(0, dtype=tf.int64)
        x, y, rows = tf.constant(x), tf.constant(y), tf.range(len(x))
        augment = AUGMENTATIONS[augmentation]

        def order(_):
            shuffled = tf.random.experimental.stateless_shuffle(
                rows, seed=tf.stack([tf.constant(seed, tf.int64), epoch])
            )
            return tf.data.Dataset.from_tensor_slices(shuffled)

        def images(number, i):
            draws = tf.stack([seed + 2**20, epoch * self.steps + number])
            return augment(tf.gather(x, i), draws), tf.gather(y, i)

        self.batches = (
            tf.data.Dataset.range(1)
            .flat_map(order)
            .batch(batch_size)
            .enumerate()
            .map(images)
            .apply(tf.data.experimental.assert_cardinality(self.steps))
            .prefetch(2)
        )

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch.assign(epoch)


def load(name, path=None, validation=1 / 12):
    """Load a data set, and split the validation part off the training part.

    Args:
        name: `"digits"` (scikit-learn's 1,797 scanned digits, 28x28),
            `"mnist"` or `"cifar10"`. Ignored where `path` is given.
        path: an `.npz` file with `x_train, y_train, x_test, y_test`, images as
            uint8.
        validation: fraction of the training data.

    Returns:
        `Data`.
    """
    loaders = {
        "digits": _digits,
        "mnist": lambda: sum(keras.datasets.mnist.load_data(), ()),
        "cifar10": lambda: sum(keras.datasets.cifar10.load_data(), ()),
    }
    x, y, x_test, y_test = _npz(path) if path else loaders[name]()
    first = round(validation * len(x))
    return Data(
        train=(_images(x[first:]), _labels(y[first:])),
        validation=(_images(x[:first]), _labels(y[:first])),
        test=(_images(x_test), _labels(y_test)),
    )


def _npz(path):
    with np.load(path) as arrays:
        missing = [name for name in ARRAYS if name not in arrays]
        if missing:
            raise ValueError(
                f"Expected the arrays {ARRAYS} in {path}. Received: "
                f"{list(arrays)}, without {missing}"
            )
        return tuple(arrays[name] for name in ARRAYS)


def _digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = np.kron(x.reshape(-1, 8, 8), np.ones((3, 3))) * (255 / 16)
    x = np.pad(x, ((0, 0), (2, 2), (2, 2)))
    rows = np.random.default_rng(0).permutation(len(x))
    train, test = rows[:-360], rows[-360:]
    return x[train], y[train], x[test], y[test]


def _images(x):
    x = np.asarray(x, dtype="float32") / 255
    return x if x.ndim == 4 else x[..., None]


def _labels(y):
    return np.asarray(y, dtype="int32").reshape(-1)
