"""Initializers of layers whose sizes change."""


def resized(config):
    """A config in which no initializer has a size of its own.

    One that holds an array, such as a table of word vectors, would fail in a smaller
    layer, whose weights are set anyway.

    Args:
        config: the config of a layer, of which others may be part.
    """
    if not isinstance(config, dict):
        return config
    return {
        key: "zeros"
        if key.endswith("initializer") and _holds_array(value)
        else resized(value)
        for key, value in config.items()
    }


def _holds_array(value):
    if isinstance(value, dict):
        return any(map(_holds_array, value.values()))
    return isinstance(value, list | tuple)
