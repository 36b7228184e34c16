"""What a weights file of an `ADMMModel` holds besides its variables."""

import contextlib
import json

import keras
import numpy as np

from tf_admm.constraints import SetConstraint
from tf_admm.constraints import sharing
from tf_admm.constraints.groups import Groups
from tf_admm.structure import kernels
from tf_admm.structure import members
from tf_admm.structure.groups import channel_groups
from tf_admm.structure.seeds import seeds

#: Of weights files; those of releases 0.1 and 0.2 do not name theirs.
FORMAT = 2


def describe(model, slots):
    """Which kernels share which constraint, and which groups have one, as JSON.

    Kernels are named by their place in `kernels.by_place(model)`: automatic
    layer names change each time that a subclassed model is made.
    """
    places = {id(k.variable): i for i, k in enumerate(kernels.by_place(model))}
    _check_held(model, slots)
    entries = []
    for constraint, shared in sharing.together((s, s.constraint) for s in slots):
        if isinstance(constraint, Groups):
            entries += [_of_group(*group) for group in constraint.sets]
        else:
            entries.append(_of_kernels(constraint, shared, places))
    return json.dumps(entries)


def _check_held(model, slots):
    held = {id(variable) for variable in model.variables}
    gone = [slot.kernel.path for slot in slots if id(slot.w) not in held]
    if gone:
        raise ValueError(
            "Expected the model of an `ADMMModel` to have the kernels that are pruned. "
            f"Received: '{model.name}', in which others have taken the place of {gone},"
            " as `quantize` does. Save `.model` itself, or quantize a copy of it."
        )


def _of_kernels(constraint, shared, places):
    return {
        "constraint": keras.saving.serialize_keras_object(constraint),
        "kernels": [places[id(slot.w)] for slot in shared],
        "shapes": [list(slot.w.shape) for slot in shared],
    }


def _of_group(name, channels, constraint):
    return {
        "constraint": keras.saving.serialize_keras_object(constraint),
        "group": name,
        "shapes": [channels],
    }


def save(store, model, slots):
    """Add seeds and constraints to the store of a weights file."""
    for i, seed in enumerate(seeds(model)):
        store[f"seed_{i}"] = keras.ops.convert_to_numpy(seed)
    text = describe(model, slots).encode()
    store["constraints"] = np.frombuffer(text, dtype="uint8")
    store["format"] = np.array(FORMAT)


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
    if found != expected and meaning(found) != meaning(expected):
        raise ValueError(
            "Expected a weights file of an `ADMMModel` with the same model and "
            f"constraints, {expected}. Received: a file with {found}. Load the "
            "weights of a plain model through `.model`."
        )
    for i, seed in enumerate(seeds(model)):
        seed.assign(store.pop(f"seed_{i}"))
    written = int(np.asarray(store.pop("format", 1)))
    return store if written == FORMAT else _converted(store, slots)


def _converted(store, slots):
    """What a file of releases 0.1 and 0.2 holds: z, u and a float mask of each kernel.

    The other variables follow in the order that they have now.
    """
    old = iter([store[key] for key in sorted(store, key=int)])
    new = []
    for slot in slots:
        z, u, settled = (np.asarray(next(old)) for _ in range(3))
        disjoint = slot.constraint.disjoint
        new += [z - u, settled != 0] if disjoint else [z, u, settled]
        new += [next(old)] if slot.f is not None else []
        new += [np.asarray(next(old)) != 0] if slot.live is not None else []
    return {str(place): value for place, value in enumerate([*new, *old])}


def meaning(description):
    """What `describe` wrote, without module paths, and with new config keys."""
    return [
        (_parsed(entry), entry.get("kernels"), entry["shapes"])
        for entry in json.loads(description)
    ]


def _parsed(entry):
    try:
        return _arguments(_constraint(entry))
    except (TypeError, ValueError):
        # What can't be made again, such as a set of a function that isn't registered.
        return entry["constraint"]


def _arguments(constraint):
    """A constraint as its registered name and its arguments, down to plain data."""
    if not isinstance(constraint, SetConstraint):
        return constraint
    config = {key: _arguments(v) for key, v in constraint.arguments().items()}
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
        _assign(variables, before)
        raise


@contextlib.contextmanager
def put_back(variables):
    """Put the variables back to what they were, whatever the body does."""
    before = [keras.ops.copy(variable) for variable in variables]
    try:
        yield
    finally:
        _assign(variables, before)


def _assign(variables, values):
    for variable, value in zip(variables, values):
        variable.assign(value)


def constraints(model, description):
    """What each weight gets by what `describe` wrote, `Matched`."""
    found = kernels.by_place(model)
    pairs, wanted = {}, {}
    for entry in json.loads(description):
        constraint = _constraint(entry)
        if "group" in entry:
            wanted[entry["group"]] = constraint
        pairs.update((place, constraint) for place in entry.get("kernels", ()))
    groups = channel_groups(model, verbose=0) if wanted else []
    sets = {id(found[place].variable): pairs[place] for place in pairs}
    # In the order in which they were matched, that of the layers.
    ordered = [k for k in kernels.everything(model) if id(k.variable) in sets]
    return members.Matched(
        [(kernel, sets[id(kernel.variable)]) for kernel in ordered],
        [members.GroupChoice(g, wanted.get(g.name), "saved") for g in groups],
    )
