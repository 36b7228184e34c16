"""What `compress` asks of its arguments."""

from tf_admm import arguments
from tf_admm.compression import rates
from tf_admm.structure import kernels
from tf_admm.structure import selectors
from tf_admm.structure.checks import check_built
from tf_admm.structure.tracing import symbolic_inputs

NUMBERS = {arguments.is_whole: "an integer", arguments.is_real: "a number"}
STRUCTURES = ("auto", "weights", "channels", "both")


def structure(structure, goal):
    """The structure that is pruned for a goal."""
    if structure not in STRUCTURES:
        raise ValueError(
            "Invalid value for argument `structure`. Expected one of "
            f"{('auto', *STRUCTURES)}. Received: structure={structure!r}"
        )
    if structure == "weights" and goal.structure == "channels":
        raise ValueError(
            f"Expected `structure` to be 'channels' with {goal}, since single zeros "
            "make convolutions no faster. Received: structure='weights'"
        )
    if structure == "both" and not goal.is_searched:
        raise ValueError(f"Expected `max_drop` with structure='both'. Received: {goal}")
    if structure == "channels" and goal.name == "ratio":
        raise ValueError(
            "Expected `macs`, `bytes`, `speed` or `max_drop` with "
            f"structure='channels'. Received: {goal}"
        )
    return goal.structure if structure == "auto" else structure


def check_model(model):
    """Raise unless it is built, functional or sequential, compiled, and can train.

    And unless there is a kernel that is trained.
    """
    check_built(model)
    symbolic_inputs(model)
    found = kernels.find(model)
    if not any(kernel.variable.trainable for kernel in found):
        raise ValueError(
            "Expected a model with kernels that are trained. Received: the model "
            f"'{model.name}' with {selectors.listing(found)}, none of which is trained"
        )
    if not model.compiled:
        raise ValueError(
            "Expected a compiled model, whose loss, metrics and optimizer are used. "
            f"Received: the model '{model.name}', which is not compiled"
        )
    rates.first(model.optimizer)


def check_seed(seed):
    """Raise unless it is an integer, not negative."""
    if not arguments.is_whole(seed) or seed < 0:
        raise ValueError(
            f"Expected `seed` to be an integer of 0 or more. Received: seed={seed!r}"
        )


def check_numbers(goal, epochs, batch_size, time_limit):
    """Raise unless these are positive, or `None`, and fit the goal."""
    for name, value, is_kind in (
        ("epochs", epochs, arguments.is_whole),
        ("batch_size", batch_size, arguments.is_whole),
        ("time_limit", time_limit, arguments.is_real),
    ):
        if value is None:
            continue
        if not is_kind(value):
            raise TypeError(
                f"Expected `{name}` to be {NUMBERS[is_kind]}. Received: "
                f"{name}={value!r} of type {type(value)}"
            )
        if not value > 0:
            raise ValueError(
                f"Expected `{name}` to be positive. Received: {name}={value}"
            )
    if epochs == 1:
        raise ValueError(
            "Expected at least 2 `epochs`, of ADMM and of retraining. Received: "
            "epochs=1"
        )
    if time_limit is not None and not goal.is_searched:
        raise ValueError(
            "Expected `time_limit` with `max_drop`, whose search it ends. Received: "
            f"time_limit={time_limit}, {goal}"
        )
