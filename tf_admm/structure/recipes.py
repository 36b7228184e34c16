"""Which entries of a layer's config set how many channels there are, found by trial."""

import dataclasses
import functools
import json
from typing import Any

import keras
import numpy as np

from tf_admm.arguments import is_whole
from tf_admm.structure import copying
from tf_admm.structure.precision import trial

#: What an entry of a config may be, in numbers of channels.
RATIOS = (1, 2)
#: The largest difference of two layers that are alike, of outputs of about 1.
TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to make layers like one, and what it is called on.

    Attributes:
        text: its class and its config, but for its name, as JSON.
        classes: those of the layers in it, by name.
        args, kwargs: symbolic tensors of known sizes, and what else it is called on.
        called: their text; two recipes of the same texts are the same.
    """

    text: str
    called: str
    classes: Any = dataclasses.field(compare=False)
    args: tuple = dataclasses.field(compare=False)
    kwargs: dict = dataclasses.field(compare=False)

    def made(self, **entries):
        """A layer of that config, with other entries."""
        recipe = json.loads(self.text)
        recipe["config"] |= {"name": "block", "dtype": "float32", **entries}
        with trial(), keras.saving.custom_object_scope(self.classes):
            return keras.saving.deserialize_keras_object(recipe)

    def unbuilt(self):
        """The same, of layers that are built as they are called."""
        recipe = json.loads(self.text)
        recipe.pop("build_config", None)
        return dataclasses.replace(self, text=json.dumps(recipe, sort_keys=True))

    def keys_of(self, number):
        """The entries of the config that are this number."""
        config = json.loads(self.text)["config"]
        return [k for k, v in config.items() if is_whole(v) and v == number]

    def outputs(self, layer):
        """What a layer makes of random inputs, flat."""
        rng = np.random.default_rng(0)
        args, kwargs = keras.tree.map_structure(
            lambda x: _random(rng, x) if isinstance(x, keras.KerasTensor) else x,
            (self.args, self.kwargs),
        )
        with trial():
            found = keras.tree.flatten(layer(*args, **kwargs))
        return [keras.ops.convert_to_numpy(y) for y in found if y is not None]


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry of a layer's config that sets how many channels there are.

    Attributes:
        key: its name.
        ratio: the entry over the number of channels.
        places: set of `(place, axis)`: of which of the layer's weights it sets the
            size, and along which axis.
    """

    key: str
    ratio: int
    places: frozenset


def recipe_of(layer, args, kwargs):
    """The `Recipe` of a layer that was called so; `None` if its config is no JSON."""
    try:
        made = keras.saving.serialize_keras_object(layer)
        made["config"].pop("name", None)
        text = json.dumps(made, sort_keys=True)
    except Exception:  # noqa: BLE001, whatever a layer's own code raises
        return None
    classes = copying.classes(layer)
    return Recipe(text, str((args, kwargs)), classes, args, kwargs)


@functools.lru_cache(maxsize=64)
def can_be_made(recipe):
    """Whether a layer can be made again from its own config."""
    try:
        recipe.made()
    except Exception:  # noqa: BLE001, whatever a layer's own code raises
        return False
    return True


@functools.lru_cache(maxsize=64)
def entries(recipe, sizes):
    """The entries of a config that set how many channels there are, by trial.

    Args:
        recipe: the `Recipe`.
        sizes: tuple of `(place, axis, channels, makes)` of weights whose channels
            nothing else depends on.

    Returns:
        Tuple of `Entry`.
    """
    config = json.loads(recipe.text)["config"]
    numbers = {key: value for key, value in config.items() if is_whole(value)}
    wanted = {size for _, _, size, _ in sizes} - {1}
    found = [
        _tried(recipe, sizes, Entry(key, ratio, frozenset()), number)
        for key, number in numbers.items()
        for ratio in RATIOS
        if number % ratio == 0 and number // ratio in wanted
    ]
    return tuple(entry for entry in found if entry is not None)


def _tried(recipe, sizes, entry, number):
    """The entry, and what it sets, if a layer that is one smaller does the same."""
    free = {(place, axis): (size, makes) for place, axis, size, makes in sizes}
    try:
        large = recipe.made()
        small = recipe.made(**{entry.key: number - entry.ratio})
        for layer in (large, small):
            # Built so, too, where it has no `build` of its own.
            recipe.outputs(layer)
        places = _changed(large, small)
        good = places and all(
            free.get(place, (0,))[0] * entry.ratio == number for place in places
        )
        if not good:
            return None
        _cut(large, small, {place: free[place][1] for place in places})
        expected, received = recipe.outputs(large), recipe.outputs(small)
        alike = all(
            a.shape == b.shape and np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)
            for a, b in zip(expected, received, strict=True)
        )
    except Exception:  # noqa: BLE001, whatever a layer's own code raises
        return None
    return dataclasses.replace(entry, places=frozenset(places)) if alike else None


def _changed(large, small):
    """`(place, axis)` of the weights' axes that are of another size."""
    pairs = zip(large.weights, small.weights, strict=True)
    return [
        (place, axis)
        for place, (a, b) in enumerate(pairs)
        for axis, (m, n) in enumerate(zip(a.shape, b.shape, strict=True))
        if m != n
    ]


def _cut(large, small, places):
    """Random weights, of which the first channel is dead in one, and gone in the other.

    Args:
        large, small: the layers.
        places: dict from `(place, axis)` to whether the entries make the channel.
    """
    rng = np.random.default_rng(0)
    weights = [_of_type(rng, w) for w in large.get_weights()]
    for (place, axis), makes in places.items():
        if makes:
            np.moveaxis(weights[place], axis, 0)[0] = 0
    large.set_weights(weights)
    for place, axis in places:
        weights[place] = np.delete(weights[place], 0, axis)
    small.set_weights(weights)


def _of_type(rng, w):
    """Numbers above 0, as variances are; of whole numbers those that there are."""
    if not np.issubdtype(w.dtype, np.floating):
        return w.copy()
    return rng.uniform(0.1, 0.5, w.shape).astype(w.dtype)


def _random(rng, x):
    if keras.backend.is_float_dtype(x.dtype):
        return keras.ops.cast(rng.standard_normal(x.shape), x.dtype)
    return keras.ops.ones(x.shape, x.dtype)
