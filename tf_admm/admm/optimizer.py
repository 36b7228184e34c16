"""A Keras optimizer made new without a new trace of the train step."""

import copy
import math
import warnings

import keras


def settings(optimizer):
    """What `restart` needs: the config, as it is when training begins.

    Raises:
        ValueError: if no optimizer can be made from it.
    """
    try:
        config = _without_schedules(_config(optimizer))
        _made(optimizer, config)
    except Exception as error:
        raise ValueError(
            "Expected an optimizer that its `get_config()` can make again, since "
            f"retraining starts with a new one. Received: {optimizer}: {error}"
        ) from error
    return config


def restart(optimizer, config, variables):
    """Put `optimizer` back to its beginning, in place.

    Slots, iteration count, loss scale and learning rate (or the position in
    its schedule) become those of a new optimizer of the same config. Zeroing
    the slots would be wrong: those of Nadam, Adagrad and Ftrl start elsewhere.

    Args:
        optimizer: a built `keras.optimizers.Optimizer`.
        config: its `settings`, as they were when training began.
        variables: the variables it was built with, in that order.
    """
    fresh = _made(optimizer, config)
    fresh.build(variables)
    for old, new in zip(optimizer.variables, fresh.variables, strict=True):
        old.assign(new)
    # A weight average starts as zeros, which Keras writes over the weights
    # if `fit` ends before the first step.
    averages = [v for v in optimizer.variables if v.name.endswith("_average")]
    for average, variable in zip(averages, variables):
        # JAX gives away the buffer of each variable, and takes no two of the same.
        average.assign(keras.ops.copy(variable))


def check_moves(optimizer):
    """Raise if its schedule has ended at 0.0, at which W would stay where it is."""
    if optimizer.iterations > 0 and rate_of(optimizer) == 0.0:
        raise ValueError(
            "Expected an optimizer with a learning rate above 0.0. Received: "
            f"{type(optimizer).__name__}, whose rate is 0.0 after "
            f"{int(optimizer.iterations)} steps. A schedule that has ended stays where "
            "it is: compile the `ADMMModel` with a new optimizer."
        )


def steepest(optimizer):
    """`(1 - momentum) / learning rate`: the curvature that one step levels.

    With momentum m, a step of gradient descent goes on to `1 / (1 - m)` of its length.
    """
    rate = rate_of(optimizer)
    return (1.0 - _momentum(_config(optimizer))) / rate if rate > 0.0 else math.inf


def _momentum(config):
    """The momentum in a config, that of an inner optimizer too; 0.0 if there is none.

    The averages of Adam and its like have other names, and lengthen no step.
    """
    inner = [value for value in config.values() if isinstance(value, dict)]
    return max(config.get("momentum") or 0.0, *map(_momentum, inner), 0.0)


def rate_of(optimizer):
    """The learning rate as it is now, a float."""
    rate = keras.ops.convert_to_tensor(optimizer.learning_rate)
    return float(keras.ops.convert_to_numpy(rate))


def _config(optimizer):
    with warnings.catch_warnings():
        # Keras warns of functions that it writes into a config.
        warnings.simplefilter("ignore", UserWarning)
        return optimizer.get_config()


def _made(optimizer, config):
    # Keras takes entries out of what it is given.
    return type(optimizer).from_config(copy.deepcopy(config))


def _without_schedules(config):
    """The config with another schedule or function as the learning rate.

    They hold no variables, and one of the user's own could not be made again from
    its config.
    """
    if not isinstance(config, dict):
        return config
    plain = {key: _without_schedules(value) for key, value in config.items()}
    if isinstance(config.get("learning_rate"), dict):
        constant = keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.0, 0.0])
        plain["learning_rate"] = keras.saving.serialize_keras_object(constant)
    return plain
