"""What a weights file of an `ADMMModel` holds besides its variables."""

import contextlib
import json

import keras
import numpy as np

from tf_admm.constraints import SetConstraint
from tf_admm.constraints import sharing
from tf_admm.structure import kernels


def seeds(model):
    """The seed generator states of a model, which no Keras file holds."""
    return [v for v in model.variables if v.name == "seed_generator_state"]


def describe(model, slots):
    """Which kernels share which constraint, as JSON.

    Kernels are named by their place among the kernels of the model: automatic
    layer names change each time that a subclassed model is made.
    """
    places = {id(k.variable): i for i, k in enumerate(kernels.find(model))}
    groups = sharing.together((slot, slot.constraint) for slot in slots)
    return json.dumps(
        [
            {
                "constraint": keras.saving.serialize_keras_object(constraint),
                "kernels": [places[id(slot.w)] for slot in shared],
                "shapes": [list(slot.w.shape) for slot in shared],
            }
            for constraint, shared in groups
        ]
    )


def save(store, model, slots):
    """Add seeds and constraints to the store of a weights file."""
    for i, seed in enumerate(seeds(model)):
        store[f"seed_{i}"] = keras.ops.convert_to_numpy(seed)
    text = describe(model, slots).encode()
    store["constraints"] = np.frombuffer(text, dtype="uint8")


def load(store, model, slots):
    """Take seeds from the store, and return what is left of it.

    Raises:
        ValueError: if the constraints of the file are not those of the model;
            nothing has been loaded then.
    """
    store = {key: store[key] for key in store.keys()}
    stored = store.pop("constraints", np.zeros(0, dtype="uint8"))
    found = np.asarray(stored).tobytes().decode() or "[]"
    expected = describe(model, slots)
    if meaning(found) != meaning(expected):
        raise ValueError(
            "Expected a weights file of an `ADMMModel` with the same model and "
            f"constraints, {expected}. Received: a file with {found}. Load the "
            "weights of a plain model through `.model`."
        )
    for i, seed in enumerate(seeds(model)):
        seed.assign(store.pop(f"seed_{i}"))
    return store


def meaning(description):
    """What `describe` wrote, without module paths, and with new config keys."""
    return [
        (_arguments(_constraint(entry)), entry["kernels"], entry["shapes"])
        for entry in json.loads(description)
    ]


def _arguments(constraint):
    """A constraint as its registered name and its arguments, down to plain data."""
    if not isinstance(constraint, SetConstraint):
        return constraint
    config = {
        key: _arguments(getattr(constraint, key)) for key in constraint.get_config()
    }
    return keras.saving.get_registered_name(type(constraint)), config


def _constraint(entry):
    return keras.saving.deserialize_keras_object(entry["constraint"])


@contextlib.contextmanager
def all_or_nothing(variables):
    """Put the variables back to what they were if the body raises."""
    before = [keras.ops.copy(variable) for variable in variables]
    try:
        yield
    except Exception:
        for variable, value in zip(variables, before):
            variable.assign(value)
        raise


class Matched(list):
    """Pairs `(kernel, constraint)` of a saved model, with nothing left to match."""


def constraints(model, description):
    """What each kernel gets by what `describe` wrote, `Matched`."""
    found = kernels.find(model)
    return Matched(
        (found[place], constraint)
        for entry in json.loads(description)
        for constraint in [_constraint(entry)]
        for place in entry["kernels"]
    )
