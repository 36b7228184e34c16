"""Data sets for the scripts: images in [0, 1], split in three."""

import dataclasses

import keras
import numpy as np

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclasses.dataclass
class Data:
    """Pairs `(x, y)`: x float32 `(n, height, width, channels)`, y int."""

    train: tuple
    validation: tuple
    test: tuple


def _crop(x, rng, pixels):
    """Each image moved by at most so many pixels along each axis, zeros moving in."""
    count, height, width, _ = x.shape
    padded = np.pad(x, [(0, 0), (pixels, pixels), (pixels, pixels), (0, 0)])
    top, left = rng.integers(0, 2 * pixels + 1, (2, count, 1))
    image = np.arange(count)[:, None, None]
    rows, columns = top + np.arange(height), left + np.arange(width)
    return padded[image, rows[:, :, None], columns[:, None, :]]


def _crop_and_flip(x, rng):
    x = _crop(x, rng, 4)
    left = rng.random((len(x), 1, 1, 1)) < 0.5
    return np.where(left, x[:, :, ::-1], x)


#: What is done to the images of a batch, given a `numpy.random.Generator`.
AUGMENTATIONS = {
    "none": lambda x, rng: x,
    "shift": lambda x, rng: _crop(x, rng, 1),
    "crop_and_flip": _crop_and_flip,
}


class Batches(keras.utils.PyDataset):
    """Batches whose order and images are a function of (seed, epoch), on any backend.

    Args:
        x: array of inputs.
        y: array of targets.
        batch_size: int.
        seed: int.
        augment: one of the values of `AUGMENTATIONS`.
    """

    def __init__(self, x, y, batch_size, seed, augment):
        super().__init__()
        self._arrays = x, y
        self._batch_size = batch_size
        self._seed = seed
        self._augment = augment
        self.begin(0)

    def begin(self, epoch):
        """What is drawn from now on is the epoch's."""
        self.epoch = epoch
        rng = np.random.default_rng([self._seed, epoch])
        self._order = rng.permutation(len(self._arrays[0]))

    def __len__(self):
        return -(-len(self._order) // self._batch_size)

    def __getitem__(self, number):
        rows = self._order[number * self._batch_size :][: self._batch_size]
        rng = np.random.default_rng([self._seed, self.epoch, number])
        x, y = (array[rows] for array in self._arrays)
        return self._augment(x, rng), y


class Shuffled(keras.callbacks.Callback):
    """Batches that follow the epoch.

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
        augment = AUGMENTATIONS[augmentation]
        self.batches = Batches(x, y, batch_size, seed, augment)
        self.steps = len(self.batches)

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.begin(epoch)


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
