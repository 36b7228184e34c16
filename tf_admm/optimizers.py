"""A Keras optimizer made new without a new trace of the train step."""


def restart(optimizer, config, variables):
    """Put `optimizer` back to its beginning, in place.

    Slots, iteration count, loss scale and learning rate (or the position in
    its schedule) become those of a new optimizer of the same config. Zeroing
    the slots would be wrong: those of Nadam, Adagrad and Ftrl start elsewhere.

    Args:
        optimizer: a built `keras.optimizers.Optimizer`.
        config: its `get_config()`, as it was when training began.
        variables: the variables it was built with, in that order.
    """
    fresh = type(optimizer).from_config(config)
    fresh.build(variables)
    for old, new in zip(optimizer.variables, fresh.variables, strict=True):
        old.assign(new)
    # A weight average starts as zeros, which Keras writes over the weights
    # if `fit` ends before the first step.
    averages = [v for v in optimizer.variables if v.name.endswith("_average")]
    for average, variable in zip(averages, variables):
        average.assign(variable)
