"""Whether one layer reads what another puts out."""

from tf_admm.constraints import sharing
from tf_admm.structure import kernels
from tf_admm.structure.tracing import trace


def check_adjacent(model, pairs):
    """Raise if kernels whose set says that they touch are known not to.

    What is not known is let pass: models and layers that can't be looked into.

    Args:
        model: the model.
        pairs: list of `(kernel, constraint)`.

    Raises:
        ValueError: if the second of two does not read the first.
    """
    for constraint, shared in sharing.together(pairs):
        if constraint.adjacent and _apart(model, *shared):
            first, second = (kernel.path for kernel in shared)
            raise ValueError(
                "Expected two kernels, the second reading what the first puts "
                f"out, directly or through layers without kernels. Received: {first!r} "
                f"and {second!r} for {constraint}, which do not touch"
            )


def _apart(model, first, second):
    """Whether no path leads from one to the other past other kernels."""
    try:
        calls = trace(model).calls
    except ValueError:
        return False
    layers = {id(call.layer) for call in calls}
    if not {id(first.layer), id(second.layer)} <= layers:
        return False
    reached = set()
    for call in calls:
        reads = any(id(x) in reached for x in call.inputs)
        if reads and call.layer is second.layer:
            return False
        if call.layer is first.layer or (reads and not _mixes(call.layer)):
            reached.update(id(x) for x in call.outputs)
    return True


def _mixes(layer):
    """Whether a layer has a kernel that makes other channels of its inputs."""
    return any(
        kernel.layer is layer
        and not kernel.by_name_only
        and not set(kernel.axes[0]) <= set(kernel.axes[1])
        for kernel in kernels.find(layer)
    )
