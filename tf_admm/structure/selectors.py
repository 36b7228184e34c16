"""Which kernel gets which constraint."""

import difflib
import re

import keras

from tf_admm.constraints import SetConstraint
from tf_admm.constraints.sharing import together
from tf_admm.structure import checks

#: Paths that a message lists.
MOST_LISTED = 12


class Choice:
    """What one kernel gets.

    Attributes:
        kernel: the `Kernel`.
        constraint: its constraint, or `None`.
        why: why it gets none, or the key that matched.
    """

    def __init__(self, kernel, constraint, why):
        self.kernel = kernel
        self.constraint = constraint
        self.why = why


def choose(kernels, constraints):
    """The `Choice` of each kernel.

    Args:
        kernels: list of `Kernel`.
        constraints: a mapping from keys to what the kernels get; or what every
            kernel gets that need not be asked for by name. A kernel gets the value
            of its own full path, or else of the first key that matches. A key is the
            name of a layer or a structural path, or a regular expression that matches
            one in full; the name of a composite layer covers the kernels under it.
            What a kernel gets is a constraint, `None` to leave it alone, or a
            function from the `Kernel` to one of these. Kernels that get the same
            object share it.

    Raises:
        ValueError: if what is given as a constraint is none; if a key matches
            nothing, or nothing trainable, or only what earlier keys matched; if
            no kernel gets a constraint; if what gets one can't be told apart by
            its path; or if a kernel is of a shape that the constraint makes no
            sense for.
    """
    by_key = isinstance(constraints, dict)
    choices = list((_by_key if by_key else _without_keys)(kernels, constraints))
    constrained = [choice for choice in choices if choice.constraint is not None]
    if not constrained:
        why = {choice.kernel.path: choice.why for choice in choices}
        raise ValueError(
            "Expected at least one kernel to constrain. Received: "
            f"constraints={constraints}, and no kernel gets one: {why}"
        )
    _check_unambiguous([choice.kernel for choice in constrained])
    _check_shapes(constrained)
    return choices


def match(kernels, constraints):
    """The list of `(kernel, constraint)` of all kernels that get one."""
    return [
        (choice.kernel, choice.constraint)
        for choice in choose(kernels, constraints)
        if choice.constraint is not None
    ]


def _by_key(kernels, constraints):
    check_keys(kernels, constraints, "constraints")
    for kernel in kernels:
        key = _first_key(kernel, constraints)
        if key is None:
            why = "only by its own name" if kernel.by_name_only else "no key matches"
            yield Choice(kernel, None, why)
        else:
            yield _choice(kernel, constraints[key], f"constraints[{key!r}]", repr(key))


def _without_keys(kernels, constraint):
    for kernel in kernels:
        if kernel.by_name_only:
            yield Choice(kernel, None, "only by its own name")
        else:
            yield _choice(kernel, constraint, "constraints", "constraints")


def _choice(kernel, value, name, why):
    if value is not None and not isinstance(value, SetConstraint):
        value = _of_function(kernel, value, name)
    if value is None:
        return Choice(kernel, None, f"excluded by {why}")
    if not kernel.variable.trainable:
        return Choice(kernel, None, "not trainable")
    return Choice(kernel, value, why)


def _of_function(kernel, function, name):
    sort_of = (type, keras.constraints.Constraint)
    if callable(function) and not isinstance(function, sort_of):
        value = function(kernel)
    else:
        value = function
    if value is not None and not isinstance(value, SetConstraint):
        raise ValueError(
            f"Expected `{name}` to be a constraint of `tf_admm.constraints`, such "
            "as `Sparsity(0.9)`, `None`, or a function from a kernel to one of "
            f"these. Received: {name}={value!r}"
        )
    return value


def matches(key, kernel):
    """Whether a constraint key covers a kernel."""
    names = set(kernel.names())
    if key in names or any(re.escape(name) == key for name in names):
        return True
    if kernel.by_name_only:
        return False
    try:
        pattern = re.compile(key)
        return any(pattern.fullmatch(name) for name in names)
    except (re.error, TypeError):
        return False


def _first_key(kernel, constraints):
    """The key that counts: the kernel's own path, or else the first that matches."""
    if kernel.path in constraints:
        return kernel.path
    return next((key for key in constraints if matches(key, kernel)), None)


def check_keys(kernels, constraints, name):
    """Raise if a key of the argument `name` matches nothing, or in vain."""
    for key in constraints:
        covered = [kernel for kernel in kernels if matches(key, kernel)]
        if not covered:
            raise ValueError(
                f"Expected each key of `{name}` to be the name or path of a layer "
                "with a kernel, or a regular expression that matches one in full. "
                f"Received: {key!r}, which matches none of them"
                f"{_hint(key, kernels)}: {listing(kernels)}"
            )
        if not any(_first_key(kernel, constraints) == key for kernel in covered):
            earlier = list(dict.fromkeys(_first_key(k, constraints) for k in covered))
            raise ValueError(
                f"Expected each key of `{name}` to match a kernel that no "
                f"earlier key matches, since the first counts. Received: {key!r}, "
                f"whose kernels {listing(covered)} all go to {earlier}. Put it "
                "before them, or leave it out."
            )
        if constraints[key] is not None and not any(
            kernel.variable.trainable for kernel in covered
        ):
            checks.check_kernels([kernel.layer for kernel in covered])
            raise ValueError(
                "Expected the kernels to constrain to be trainable. Received: "
                f"{key!r}, which matches only the untrainable {listing(covered)}. Set "
                "`layer.trainable = True`, or leave the key out."
            )


def _check_unambiguous(kernels):
    paths = [kernel.path for kernel in kernels]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise ValueError(
            "Expected each constrained kernel to have a path of its own. "
            f"Received: more than one kernel at {twice}. Give the layers "
            "names of their own."
        )


def _check_shapes(choices):
    pairs = [(choice.kernel, choice.constraint) for choice in choices]
    for constraint, kernels in together(pairs):
        try:
            constraint.check([kernel.shape for kernel in kernels])
        except ValueError as error:
            raise ValueError(f"{error} ({constraint} for {listing(kernels)})") from None


def _hint(key, kernels):
    """The name or path that a key may be a misspelling of."""
    names = dict.fromkeys(name for kernel in kernels for name in kernel.names())
    close = difflib.get_close_matches(str(key), names, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def listing(kernels):
    """The paths, the first of them if there are many."""
    paths = [kernel.path for kernel in kernels]
    rest = len(paths) - MOST_LISTED
    return f"{paths[:MOST_LISTED]}{f' and {rest} more' if rest > 0 else ''}"
