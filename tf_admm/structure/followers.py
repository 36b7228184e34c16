"""Layers of no known kind that take each channel by itself, found by trial.

Such as a scale, a class token or a table of positions of one's own, whose weights are
as large as what the layer is called on.
"""

import functools

import keras
import numpy as np

from tf_admm.structure import recipes
from tf_admm.structure import walking
from tf_admm.structure.calls import sized
from tf_admm.structure.kinds import MAKES
from tf_admm.structure.kinds import RIDES
from tf_admm.structure.kinds import Kind
from tf_admm.structure.kinds import Link
from tf_admm.structure.kinds import channels
from tf_admm.structure.kinds import value
from tf_admm.structure.precision import trial
from tf_admm.structure.replaying import Scope


class Follower(Kind):
    """Each channel goes with its entries in the layer's weights.

    The smaller layer has the same config, since its weights follow what it reads, or
    one entry says how many channels that has.

    Args:
        call: the `Call`.
        axes: list of `(weight, axis)`, of those that have an entry for each channel.
        key: the entry of the config, or `None`.
    """

    opaque = False

    def __init__(self, call, axes, key):
        super().__init__(call)
        self._axes = axes
        self._key = key

    def ties(self):
        return [self.same(self.x, self.y)]

    def links(self):
        return [
            Link(MAKES if w.trainable else RIDES, w, axis, self.y, self.all_of(self.y))
            for w, axis in self._axes
        ]

    def constants(self, known):
        dead = known(self.x) == 0
        for w, axis in self._axes:
            if w.trainable:
                entries = np.moveaxis(value(w), axis, 0).reshape(len(dead), -1)
                dead = dead & (entries == 0).all(axis=1)
        return [(self.y, np.where(dead, 0.0, np.nan))]

    def config(self, config, size, shift):
        return config if self._key is None else config | {self._key: size(self.y)}


def follower_or(kind):
    """A `Follower`, if trials say that the layer is one; or the kind itself."""
    call, layer = kind.call, kind.layer
    alone = isinstance(layer, keras.Layer) and len(list(walking.walk(layer))) == 1
    if not alone or not layer.weights or not _is_one_to_one(call):
        return kind
    others = {key: x for key, x in call.kwargs.items() if key != "training"}
    given = keras.tree.map_structure(sized, (call.args, others))
    recipe = recipes.recipe_of(layer, *given)
    trains = tuple(bool(w.trainable) for w in layer.weights)
    if recipe is None:
        return kind
    for key in (None, *recipe.keys_of(channels(kind.x))):
        axes = _axes(recipe.unbuilt(), key, channels(kind.x), trains)
        if axes is not None:
            found = [(layer.weights[place], axis) for place, axis in axes]
            return Follower(call, found, key)
    return kind


def _is_one_to_one(call):
    found = (*call.given, *call.outputs)
    floats = [keras.backend.is_float_dtype(x.dtype) for x in found]
    sizes = {channels(x) for x in found if len(x.shape) > 1}
    plain = len(call.given) == len(call.outputs) == 1 and all(floats)
    return plain and len(sizes) == 1 and min(sizes) > 1


@functools.lru_cache(maxsize=64)
def _axes(recipe, key, count, trains):
    """Of each weight that has an entry for each channel, its place and that axis.

    Args:
        recipe: the `Recipe`, called on one tensor.
        key: the entry of its config that says how many channels this has, or `None`.
        count: int, the channels of it.
        trains: tuple of whether each weight is trainable.

    Returns:
        Tuple of `(place, axis)`; `None` if channels aren't taken by themselves, or a
        channel isn't 0.0 where it was, and its entries of trainable weights are.
    """
    try:
        return _found(recipe, key, count, trains)
    except Exception:  # noqa: BLE001, whatever a layer's own code raises
        return None


def _found(recipe, key, count, trains):
    rng = np.random.default_rng(0)
    (x,) = (
        t for t in keras.tree.flatten((recipe.args, recipe.kwargs)) if _is_tensor(t)
    )
    x = rng.normal(size=x.shape).astype("float32")
    whole = _called(recipe, key, x)
    weights = [rng.uniform(0.5, 1.5, w.shape) for w in whole.weights]
    for size, scale in ((count - 1, 1), ((count + 1) // 2, 100), (count - 1, 0.01)):
        kept = np.isin(np.arange(count), rng.permutation(count)[:size])
        small = _called(recipe, key, x[..., kept])
        axes = _differing(whole.weights, small.weights, count, size)
        for training in (False, True):
            whole.set_weights(weights)
            small.set_weights(_cut(weights, axes, kept))
            y = _outputs(whole, recipe, scale * x, training)[..., kept]
            z = _outputs(small, recipe, scale * x[..., kept], training)
            moved = _cut(whole.get_weights(), axes, kept)
            states = small.get_weights()
            pairs = [(y, z), *zip(moved, states)]
            if not all(np.allclose(a, b, 1e-4, 1e-4 * scale) for a, b in pairs):
                return None
    of_zeros = [
        _zeroed(w, axes.get(place), kept) if trains[place] else w
        for place, w in enumerate(weights)
    ]
    whole.set_weights(of_zeros)
    dead = _outputs(whole, recipe, np.where(kept, x, 0))[..., ~kept]
    return None if dead.any() else tuple(axes.items())


def _called(recipe, key, x):
    """A new layer, built by a call on `x`."""
    layer = recipe.made(**({} if key is None else {key: x.shape[-1]}))
    _outputs(layer, recipe, x)
    return layer


def _outputs(layer, recipe, x, training=False):
    """What it returns; in training, as if a layer around it were told so."""
    args, kwargs = keras.tree.map_structure(
        lambda t: x.astype("float32") if _is_tensor(t) else t,
        (recipe.args, recipe.kwargs),
    )
    with trial():
        y = Scope(lambda: layer(*args, **kwargs))(training=training)
    return keras.ops.convert_to_numpy(y)


def _differing(weights, others, count, size):
    """Dict from places to the one axis whose size is that of what is read."""
    axes = {}
    for place, (w, other) in enumerate(zip(weights, others, strict=True)):
        changed = [
            axis
            for axis, pair in enumerate(zip(w.shape, other.shape, strict=True))
            if pair[0] != pair[1]
        ]
        for axis in changed:
            if place in axes or (w.shape[axis], other.shape[axis]) != (count, size):
                raise ValueError(f"Expected one axis of channels. Received: {w.shape}")
            axes[place] = axis
    return axes


def _cut(weights, axes, kept):
    return [
        np.compress(kept, w, axes[place]) if place in axes else w
        for place, w in enumerate(weights)
    ]


def _zeroed(w, axis, kept):
    """A weight with zeros where channels are not kept."""
    if axis is None:
        return w
    shape = [-1 if i == axis else 1 for i in range(w.ndim)]
    return w * kept.reshape(shape)


def _is_tensor(x):
    return isinstance(x, keras.KerasTensor)
