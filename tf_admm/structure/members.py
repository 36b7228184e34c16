"""Which weights of a model share which set: kernels, and members of channel groups."""

import dataclasses
from typing import Any

import keras
import numpy as np

from tf_admm.constraints import GroupSparsity
from tf_admm.constraints.groups import Groups
from tf_admm.structure import checks
from tf_admm.structure import groups
from tf_admm.structure import kernels
from tf_admm.structure import neighbours
from tf_admm.structure import selectors


def dead_entries(model):
    """Masks of the weights, kernels left out, that make channels that are dead.

    Returns:
        List of `(variable, mask)`, False where a channel is 0.0 in all that makes it;
        nothing for models whose layers can't be traced.
    """
    if not getattr(model, "inputs", None):
        return []
    masks = {}
    for group in groups.channel_groups(model, verbose=0):
        dead = group.dead()
        for part in group.producers:
            if len(part.variable.shape) == 1 and part.variable.trainable and dead.any():
                variable, mask = masks.setdefault(
                    id(part.variable),
                    (part.variable, np.ones(part.variable.shape, bool)),
                )
                mask[part.index[dead].ravel()] = False
    return list(masks.values())


class Member:
    """A weight that makes channels of groups; to a set, what a `Kernel` is.

    Attributes:
        variable: the weight.
        path: its structural path.
        shape: its shape, in its own axis order.
        axes: `None`; no two are alike.
    """

    axes = None

    def __init__(self, part):
        self.variable = part.variable
        self.path = part.path
        self.shape = tuple(part.variable.shape)

    def canonical(self, x):
        return x

    def original(self, x):
        return x


@dataclasses.dataclass(frozen=True)
class GroupChoice:
    """What a channel group gets.

    Attributes:
        group: the `ChannelGroup`.
        constraint: its `GroupSparsity`, or `None`.
        why: the key that matched, or why it gets none.
    """

    group: Any
    constraint: Any
    why: str


class Matched(list):
    """`(kernel or member, set)` of all weights that get one.

    Attributes:
        groups: list of the `ChannelGroup`s among them.
    """

    def __init__(self, pairs, chosen=()):
        chosen = [choice for choice in chosen if choice.constraint is not None]
        super().__init__([*pairs, *_bound(chosen)])
        self.groups = [choice.group for choice in chosen]


def match(model, constraints):
    """What each weight of a model gets, `Matched`.

    Args:
        model: a built model.
        constraints: as in `ADMMModel`.

    Raises:
        ValueError: as `selectors.choose`; and if groups are asked for in a model whose
            layers can't be traced, or that can't be pruned, or in two ways; or weights
            are asked for that are not all that their layer computes with.
    """
    choices, chosen = choose(model, constraints)
    pairs = [(c.kernel, c.constraint) for c in choices if c.constraint is not None]
    matched = Matched(pairs, chosen)
    weights = [item.variable for item, _ in matched]
    checks.check_kernels(
        checks.owners(model, [w for w in weights if w.name not in kernels.ADAPTERS])
    )
    return matched


def silence(group):
    """Puts the statistics of dead channels to 0.0, so that these put out 0.0."""
    made = tuple(part for part in group.producers if not _follows(part))
    dead = dataclasses.replace(group, producers=made).dead()
    for part in filter(_follows, group.producers):
        w = keras.ops.convert_to_numpy(part.variable).copy()
        w[part.index[dead].ravel()] = 0.0
        part.variable.assign(w)


def choose(model, constraints):
    """`(choices, group_choices)`: what each kernel, and each group, gets."""
    found = kernels.find(model)
    if isinstance(constraints, GroupSparsity):
        choices = [selectors.Choice(kernel, None, "no group's") for kernel in found]
        chosen = _of_all(model, constraints)
    elif isinstance(constraints, dict) and any(
        map(_is_of_groups, constraints.values())
    ):
        choices, chosen = _by_key(model, found, constraints)
    else:
        choices, chosen = selectors.choose(found, constraints), []
    pairs = [(c.kernel, c.constraint) for c in choices if c.constraint is not None]
    neighbours.check_adjacent(model, pairs)
    for group in (c.group for c in chosen if c.constraint is not None):
        made = {id(part.variable) for part in group.producers}
        for choice in choices:
            if id(choice.kernel.variable) in made:
                choice.why = f"by the group '{group.name}'"
    return choices, chosen


def _is_of_groups(constraint):
    return isinstance(constraint, GroupSparsity)


def _names_groups(constraints):
    by_key = isinstance(constraints, dict)
    return by_key and any(_is_of_groups(value) for value in constraints.values())


def _of_all(model, constraint):
    choices = [
        GroupChoice(group, None if why else constraint, why or "constraints")
        for group in groups.channel_groups(model, verbose=0)
        for why in [why_not(group)]
    ]
    return _checked(model, choices)


def _by_key(model, found, constraints):
    """Keys match groups by their names, or by the kernels that make them."""
    everything = groups.channel_groups(model, verbose=0)
    names = {group.name: group for group in everything}
    exact = {
        key: constraint
        for key, constraint in constraints.items()
        if key in names and _is_of_groups(constraint)
    }
    # A group's own name takes its first kernel, which no other key matches then.
    taken = {key: names[key].producers[0].path for key in exact}
    plain = {taken.get(key, key): value for key, value in constraints.items()}
    choices = selectors.choose(found, plain)
    others = {
        id(choice.kernel.variable): choice
        for choice in choices
        if choice.constraint is not None and choice.kernel.path not in taken.values()
    }
    chosen = [_of_group(g, others, exact.get(g.name)) for g in everything]
    for choice in choices:
        if _is_of_groups(choice.constraint):
            choice.constraint = None
    return choices, _checked(model, chosen)


def _of_group(group, others, exact):
    """What a group gets by its own name, or else by the kernels that make it.

    Args:
        group: the `ChannelGroup`.
        others: dict from ids of kernels to their `Choice`s, of those that get a set
            by another key than a group's own name.
        exact: what the group's own name is a key of, or `None`.
    """
    found = [others.get(id(part.variable)) for part in group.producers]
    found = [choice for choice in found if choice is not None]
    given = {choice.kernel.path: choice.constraint for choice in found}
    if exact is not None:
        given[group.name] = exact
    sets = {id(constraint): constraint for constraint in given.values()}
    asked = [constraint for constraint in sets.values() if _is_of_groups(constraint)]
    if not asked:
        return GroupChoice(group, None, why_not(group) or "no key matches")
    if len(sets) > 1:
        raise ValueError(
            "Expected one constraint for the kernels that make a channel group. "
            f"Received: {given} for the group '{group.name}'"
        )
    if why_not(group) and exact is not None:
        raise ValueError(
            f"Expected a channel group that can be pruned. Received: '{group.name}', "
            f"which stays, since it is {why_not(group)}"
        )
    constraint = None if why_not(group) else asked[0]
    key = group.name if exact is not None else found[0].why
    return GroupChoice(group, constraint, why_not(group) or key)


def why_not(group):
    """Why a group can't be pruned, or `None`."""
    if group.why is not None:
        return group.why
    still = [
        part.path
        for part in group.producers
        if not part.variable.trainable and not _follows(part)
    ]
    return f"made by {still}, which are not trainable" if still else None


def _follows(part):
    """Whether a weight is a statistic, which follows what others are."""
    return part.variable.name == "moving_mean"


def _checked(model, choices):
    """The choices of groups, at least one of which gets a set, and none all of it."""
    if not any(choice.constraint for choice in choices):
        reasons = {choice.group.name: choice.why for choice in choices}
        raise ValueError(
            "Expected a model with channel groups that can be pruned. Received: the "
            f"model '{model.name}' with {reasons}"
        )
    for choice in choices:
        group, constraint = choice.group, choice.constraint
        if constraint is not None and constraint.kept(group.channels) < 1:
            raise ValueError(
                "Expected at least one channel of each group to stay. Received: "
                f"{constraint} for '{group.name}' of {group.channels} channels"
            )
    return choices


def _check_one_metric(sets):
    metrics = {str(constraint.metric): name for name, _, constraint in sets}
    if len(metrics) > 1:
        raise ValueError(
            "Expected one metric for all channel groups of a model. Received: "
            f"{metrics}, each with a group that has it"
        )


def _bound(choices):
    """`(member, set)` pairs of one `Groups` over all groups that are chosen."""
    if not choices:
        return []
    members, parts = {}, {}
    for number, choice in enumerate(choices):
        for part in choice.group.producers:
            if not _follows(part):
                key = id(part.variable)
                members.setdefault(key, Member(part))
                parts.setdefault(key, []).append((number, part.axis, part.index))
    sets = [(c.group.name, c.group.channels, c.constraint) for c in choices]
    _check_one_metric(sets)
    shapes = [member.shape for member in members.values()]
    together = Groups(sets, list(parts.values()), shapes)
    return [(member, together) for member in members.values()]
