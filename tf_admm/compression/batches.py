"""The data of a run: what is trained on, chosen by, and read once at the end."""

import dataclasses
from typing import Any

import keras
import numpy as np

#: The share of arrays that is set aside, where no validation data are given.
VALIDATION = 0.1
#: Rows of a batch: few if there are few, so that an epoch has some steps.
SMALL, LARGE, MANY_ROWS = 32, 128, 10_000
#: Rows that the ranges of int8 are measured on.
REPRESENTATIVE = 200


class Batches(keras.utils.PyDataset):
    """Rows of arrays in an order that is a function of (seed, epoch).

    Keras' own shuffling of arrays starts over in a run that goes on after a kill.

    Args:
        data: tuple of arrays, or of nests of them, all with as many rows.
        size: int, the rows of a batch.
        seed: int.
    """

    def __init__(self, data, size, seed):
        super().__init__()
        self._data, self._size, self._seed = data, size, seed
        self._rows = rows(data)
        self.start(0)

    def start(self, epoch):
        """Put the rows into the order of an epoch."""
        rng = np.random.default_rng([self._seed, epoch])
        self._order = rng.permutation(self._rows)

    def __len__(self):
        return -(-self._rows // self._size)

    def __getitem__(self, index):
        chosen = self._order[index * self._size : (index + 1) * self._size]
        found = keras.tree.map_structure(lambda x: x[chosen], self._data)
        # Of lists, as those of several inputs, Keras makes no dataset.
        return keras.tree.lists_to_tuples(found)


class _Order(keras.callbacks.Callback):
    """Tells batches the epoch."""

    def __init__(self, batches):
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self._batches.start(epoch)


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run learns from and is judged by.

    Attributes:
        train: a function from the number of a stage to what `fit` takes, of `steps`
            batches, and a list of the callbacks that go with it.
        steps: int, batches of an epoch.
        validation, test: what `evaluate` takes; `test` may be `None`.
        samples: inputs of some rows, in the structure of the model's.
        arrays: nest of all arrays that were given; of a dataset, of the samples.
        is_aside: whether `validation` was set aside from what was given to train on.
        seed: int, of what a stage draws.
    """

    train: Any
    steps: int
    validation: Any
    test: Any
    samples: Any
    arrays: Any
    is_aside: bool = False
    seed: int = 0


def of(data, validation, test, batch_size, seed):
    """The data of a run.

    Args:
        data: a tuple `(x, y)` or `(x, y, sample_weight)` of arrays or nests of them,
            or a dataset of batches whose length is known.
        validation: the same, or `None` to set aside a tenth of the arrays.
        test: the same, or `None`.
        batch_size: int, or `None`, of arrays.
        seed: int, of the order, and of what is set aside.

    Raises:
        TypeError, ValueError: if they are not that.
    """
    if not isinstance(data, tuple | list | dict | np.ndarray):
        return _of_dataset(data, validation, test, batch_size, seed)
    data, is_aside = _arrays("data", data), validation is None
    if is_aside:
        data, validation = _divided(data, seed)
    else:
        validation = _arrays("validation_data", validation)
    size = batch_size or (SMALL if rows(data) < MANY_ROWS else LARGE)
    first = Batches(data, min(REPRESENTATIVE, rows(data)), seed)[0][0]

    def train(stage):
        batches = Batches(data, size, seed + stage)
        return batches, [_Order(batches)]

    return Data(
        train=train,
        steps=len(Batches(data, size, seed)),
        validation=validation,
        test=test if test is None else _arrays("test_data", test),
        samples=first,
        arrays=(data, validation, test),
        is_aside=is_aside,
        seed=seed,
    )


def _of_dataset(data, validation, test, batch_size, seed):
    try:
        steps, first = len(data), next(iter(data))
    except TypeError as error:
        raise TypeError(
            "Expected `data` to be a tuple of arrays, `(x, y)`, or a dataset of such "
            "batches whose length is known (`tf.data.experimental.assert_cardinality` "
            f"says it). Received: data of type {type(data)}: {error}"
        ) from error
    if batch_size is not None or validation is None:
        raise ValueError(
            "Expected `validation_data`, and no `batch_size`, with a dataset of "
            f"batches. Received: data of type {type(data)}, validation_data of type "
            f"{type(validation)}, batch_size={batch_size}"
        )
    samples = keras.tree.map_structure(lambda x: np.array(x)[:REPRESENTATIVE], first[0])
    arrays = [part for part in (validation, test) if isinstance(part, tuple)]
    return Data(
        train=lambda stage: (data, []),
        steps=steps,
        validation=validation,
        test=test,
        samples=samples,
        arrays=(samples, *arrays),
        seed=seed,
    )


def _arrays(name, data):
    """The tuple, its leaves as arrays with as many rows."""
    if not isinstance(data, tuple) or len(data) not in (2, 3):
        raise TypeError(
            f"Expected `{name}` to be a tuple of arrays, `(x, y)` or "
            f"`(x, y, sample_weight)`. Received: {name} of type {type(data)}"
        )
    data = keras.tree.map_structure(np.asarray, data)
    shapes = [x.shape for x in keras.tree.flatten(data)]
    if len({shape[:1] for shape in shapes}) != 1 or not shapes[0] or not shapes[0][0]:
        raise ValueError(
            f"Expected arrays in `{name}` that have as many rows, and some. Received: "
            f"arrays of the shapes {shapes}"
        )
    return data


def rows(data):
    """Rows of the arrays in a nest."""
    return len(keras.tree.flatten(data)[0])


def _divided(data, seed):
    """The rows to train on, and those set aside, drawn at random."""
    order = np.random.default_rng(seed).permutation(rows(data))
    aside = round(VALIDATION * len(order))
    if not aside:
        raise ValueError(
            "Expected `data` of enough rows to set a tenth aside, or "
            f"`validation_data`. Received: data of {len(order)} rows"
        )
    return _chosen(data, order[aside:]), _chosen(data, order[:aside])


def _chosen(data, order):
    return keras.tree.map_structure(lambda x: x[np.sort(order)], data)
