"""The tree of layers: what a layer holds, and the weights that are its own."""


def walk(layer, path=(), above=()):
    """Yield `(layer, path)` for a layer and all that it holds, in order."""
    yield layer, path
    above = (*above, id(layer))
    for child in _children(layer):
        # A layer may refer back to one that holds it.
        if id(child) not in above:
            yield from walk(child, (*path, child.name), above)


def _children(layer):
    # Keras offers `Model.layers` but no public list of the layers that another
    # layer holds (attention, wrappers, recurrent cells).
    return {id(child): child for child in layer._layers}.values()


def own_variables(layer):
    """The weights of a layer that none of its sub-layers has."""
    below = {id(v) for child in _children(layer) for v in child.variables}
    return [v for v in layer.weights if id(v) not in below]
