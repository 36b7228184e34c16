"""What an `ADMMModel` asks of the model that it is given."""

import math
import os

import keras

from tf_admm import arguments
from tf_admm import schedules
from tf_admm.structure import walking
from tf_admm.structure.checks import check_built

#: What a model of its own kind may override, and a wrapper would ignore.
TRAINING_METHODS = (
    "train_step",
    "test_step",
    "compute_loss",
    "compute_metrics",
)


def schedule_of_kept(kept):
    """The schedule of what is kept, which ends at what is asked for.

    Raises:
        ValueError: if it is none, or ends elsewhere.
    """
    if isinstance(kept, dict):
        kept = keras.saving.deserialize_keras_object(kept)
    kept = schedules.Constant(1.0) if kept is None else kept
    if not isinstance(kept, schedules.Schedule):
        raise ValueError(
            "Invalid value for argument `kept`. Expected a `tf_admm.schedules.Schedule`"
            f", such as `Cubic(10)`, or `None`. Received: kept={kept!r}"
        )
    ends = kept(1.0)
    if ends != 1.0 or not all(kept(t / 8) >= 1.0 for t in range(9)):
        raise ValueError(
            "Invalid value for argument `kept`. Expected a schedule that is never "
            f"below 1 and ends at 1. Received: kept={kept.get_config()}, which ends at "
            f"{ends}"
        )
    return kept


def check_rho(schedule):
    """Raise unless a schedule of rho gives what rho may be."""
    for t in range(9):
        schedules.checked(schedule, schedule(t / 8))


def check_given(constraints):
    """Raise if nothing says what is pruned."""
    if constraints is None:
        raise ValueError(
            "Expected `constraints`, or `sparsity`, the fraction of zeros of all "
            "kernels together. Received: neither"
        )


def check_regrowth(regrowth):
    """Raise unless it is a finite number, not negative."""
    if not arguments.is_real(regrowth) or not 0.0 <= regrowth < math.inf:
        raise ValueError(
            "Invalid value for argument `regrowth`. Expected a finite, non-negative "
            f"number. Received: regrowth={regrowth!r}"
        )


def check_model(model):
    """Raise unless `model` is a built Keras model with Keras' own steps."""
    check_built(model)
    own = [
        name
        for name in TRAINING_METHODS
        if getattr(type(model), name) is not getattr(keras.Model, name)
    ]
    if own:
        raise ValueError(
            "Expected a model that trains by Keras' own steps, since those of "
            f"`ADMMModel` take their place. Received: the model '{model.name}' "
            f"of class {type(model).__name__}, which overrides {own}. Move what "
            "they do to `compile(loss=..., metrics=...)`, or to `add_loss` in "
            "a layer. Of an `ADMMModel`, give its `.model`."
        )


def check_registered(model):
    """Raise if `model` holds a class without which it could not be loaded."""
    classes = {type(layer) for layer, _ in walking.walk(model)}
    unknown = sorted(cls.__name__ for cls in classes if not _is_registered(cls))
    if unknown:
        raise ValueError(
            "Expected the classes of the model and its layers to be registered "
            "before it is saved, since it could not be loaded again. Received: "
            f"the model '{model.name}' with {unknown}. Decorate them with "
            "`@keras.saving.register_keras_serializable(package=...)`, and give "
            "them `get_config` if their `__init__` takes arguments."
        )


def check_parts(*configs):
    """Raise if serialised sets and schedules hold what could not be made again."""
    unknown = set()
    for config in configs:
        keras.tree.traverse(lambda node: unknown.update(_unregistered(node)), config)
    if unknown:
        raise ValueError(
            "Expected the sets, metrics and schedules of an `ADMMModel` to be "
            "registered before it is saved, since it could not be loaded again. "
            f"Received: {sorted(unknown)}. Decorate them, functions with a name of "
            "their own, with `@keras.saving.register_keras_serializable(package=...)`."
        )


def _unregistered(node):
    """The name of a class or function that a config is of, in a list, or none."""
    if not isinstance(node, dict) or not {"module", "config"} & set(node):
        return []
    module, config = node.get("module") or "", node.get("config")
    # A function has its own name where a class has its arguments.
    name = config if isinstance(config, str) else node.get("registered_name") or ""
    known = module.split(".")[0] == "keras" or ">" in name
    return [] if known else [name or "lambda"]


def check_path(path):
    """Raise if Keras would write another format, which holds no `ADMMModel`."""
    if os.fspath(path).endswith((".h5", ".hdf5")):
        raise ValueError(
            "Expected a file whose name ends in '.keras', to save an `ADMMModel`. "
            f"Received: {path}"
        )


def _is_registered(cls):
    name = keras.saving.get_registered_name(cls)
    return cls.__module__.startswith("keras.") or ">" in name
