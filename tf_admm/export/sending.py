"""Models as files that another process can load."""

import json
import zipfile

import keras

from tf_admm.structure import walking

#: Packages whose layers Keras finds by itself.
KNOWN = ("keras", "keras_hub", "tf_admm")


def saved(model, path):
    """Save a model; returns the modules that its classes and functions are in."""
    try:
        model.save(path)
    except Exception as error:
        raise ValueError(
            "Expected a model that Keras can save. Received: the model "
            f"'{model.name}', with which this fails: {error}"
        ) from error
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json").decode()
    modules = set()
    for custom in _customs(model, config):
        _check_importable(custom, model)
        modules.add(custom.__module__)
    return sorted(modules)


def _customs(model, config):
    """Classes and functions of a model that are not Keras' own."""
    classes = {type(layer) for layer, _ in walking.walk(model)}
    yield from (c for c in classes if c.__module__.split(".")[0] not in KNOWN)
    for name, custom in keras.saving.get_custom_objects().items():
        if json.dumps(name) in config and hasattr(custom, "__qualname__"):
            yield custom


def _check_importable(custom, model):
    name, module = custom.__qualname__, custom.__module__
    registered = keras.saving.get_registered_name(custom) != custom.__name__
    if not registered or module == "__main__" or "<locals>" in name:
        raise ValueError(
            "Expected the classes and functions of a model that another process loads "
            "to be registered (`keras.saving.register_keras_serializable`) at the top "
            f"of a module that it can import. Received: '{name}' of the module "
            f"'{module}', in the model '{model.name}', with Keras on "
            f"{keras.config.backend()}"
        )
