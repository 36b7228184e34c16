"""What the converter and the runtimes complain of, in a line."""

import re

from tf_admm.structure import walking

#: Where the converter says that an operator is none of TFLite's: its place in the
#: program, then its name.
MISSING = re.compile(r"error: loc\((.*?)\): 'tf\.(\w+)' op is neither a custom op nor")
#: An error with its place in the program.
PLACED = re.compile(r"^.*?error: loc\((.*)\): ")
#: The name of an operator with the layers that it was called in.
PLACE = re.compile(r'fused\["\w+:", "([^"@]+)')
#: How long a line is at most.
LENGTH = 300


def gist(error, model=None):
    """The line that names the cause.

    Args:
        error: the exception.
        model: the Keras model that was converted, to name its layers.
    """
    text, names = str(error), _names(model) if model else set()
    missing = _missing(text, names)
    if missing:
        more = "; try `select_tf_ops=True`" if "TF Select ops" in text else ""
        if wide := _of_float64(model):
            more = f" of float64, in which {wide} compute; make the model of float32"
        return f"TFLite lacks TensorFlow's operators {', '.join(missing)}{more}"
    return f"{type(error).__name__}: {telling(text, names)}"


def telling(text, names=frozenset()):
    """The line of many that says most, with the layers that it is about."""
    # The converter speaks in pages.
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [x for x in lines if x.startswith(("Flex ops", "Custom ops"))]
    found = found or [x for x in lines if "error:" in x] or lines
    line = " ".join(found[-1:])
    placed = PLACED.match(line)
    if not placed:
        return line[:LENGTH]
    paths = [path.split("/")[:-1] for path in PLACE.findall(placed.group(1))]
    layers = {layer for path in paths for layer in _layers(path, names)}
    about = f" ({_listed(layers)})" if layers else ""
    return line[placed.end() :][:LENGTH] + about


def _of_float64(model):
    """The first layers that compute in float64, as far as a model is known."""
    found = walking.walk(model) if model else ()
    names = [layer.name for layer, _ in found if layer.compute_dtype == "float64"]
    return names[:4]


def _listed(layers):
    return f"layer {', '.join(sorted(map(repr, layers)))}"


def _missing(text, names):
    """Operators, each with the layers it is in, as far as these are known."""
    found = {}
    for location, operator in MISSING.findall(text):
        place = PLACE.search(location)
        path = place.group(1).split("/")[:-1] if place else []
        found.setdefault(operator, set()).update(_layers(path, names))
    return [
        f"{operator} ({_listed(layers)})" if layers else operator
        for operator, layers in found.items()
    ]


def _layers(path, names):
    """The innermost layer of a path, or the two that it may be."""
    for part in reversed(path):
        # TensorFlow numbers a name that it sees again.
        found = {part, re.sub(r"_\d+$", "", part)} & names
        if found:
            return found
    return set()


def _names(model):
    return {layer.name for layer, _ in walking.walk(model) if layer is not model}
