"""Models and layers once more."""

import tempfile
import warnings

import keras
import numpy as np

from tf_admm.structure import walking
from tf_admm.structure.seeds import seeds


def copied(model: keras.Model) -> keras.Model:
    """The same functional or sequential model once more, not compiled.

    Raises:
        ValueError: if a layer can't be made again from its config.
    """
    try:
        with keras.saving.custom_object_scope(classes(model)):
            copy = type(model).from_config(model.get_config())
        copy_state(model, copy)
    except Exception as error:
        raise ValueError(
            "Expected a model whose layers can be made again from their configs. "
            f"Received: the model '{model.name}', with which this fails: {error}"
        ) from error
    return copy


def copy_state(old: keras.Layer, new: keras.Layer) -> None:
    """All variables, seeds and tables, by the layers' own ways of saving them.

    These may finish a state. Vocabularies, which are learned and no variables, are
    what Keras calls assets; a layer has some if it has the method that saves them.
    """
    if not new.built:
        new.build_from_config(old.get_build_config())
    for a, b in zip(seeds(old), seeds(new), strict=True):
        b.assign(_own(a))
    pairs = list(zip(walking.walk(old), walking.walk(new), strict=True))
    for (a, _), (b, _) in pairs:
        store = {}
        a.save_own_variables(store)
        b.load_own_variables({key: _own(value) for key, value in store.items()})
        if hasattr(a, "save_assets"):
            with tempfile.TemporaryDirectory() as folder:
                a.save_assets(folder)
                b.load_assets(folder)


def _own(value):
    """A value in memory of its own, as if it came from a file.

    JAX would hand on the buffer itself, which a step of either model then gives away.
    """
    is_tensor = keras.ops.is_tensor(value)
    return keras.ops.convert_to_numpy(value) if is_tensor else np.array(value)


def compile_config(model):
    """What `get_compile_config` says of a model, of a lambda without Keras' advice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return model.get_compile_config()


def fresh(metrics):
    """Metrics as `compile` takes them, which have seen nothing yet.

    An object among them holds what it has seen in another model, which Keras doesn't
    forget before the first `evaluate` of a model that is compiled with it.
    """

    def again(metric):
        if not isinstance(metric, keras.Metric):
            return metric
        try:
            return type(metric).from_config(metric.get_config())
        except Exception:  # noqa: BLE001, whatever a metric's own code raises
            metric.reset_state()
            return metric

    return keras.tree.map_structure(again, metrics)


def classes(model):
    """The classes of a model's own layers by their names, whether registered or not.

    Not those of Keras, where a layer and an operation share a name, such as `Add`.
    """
    found = {type(layer) for layer, _ in walking.walk(model)}
    return {c.__name__: c for c in found if c.__module__.split(".")[0] != "keras"}
