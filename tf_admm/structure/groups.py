"""Channel groups: which channels of a model live and die together."""

import dataclasses
from typing import Any

import keras
import numpy as np
from rich.table import Table

from tf_admm.printing import Printed
from tf_admm.printing import shown
from tf_admm.structure import kernels
from tf_admm.structure import kinds
from tf_admm.structure import uses
from tf_admm.structure import walking
from tf_admm.structure.channels import Channels
from tf_admm.structure.checks import check_built
from tf_admm.structure.precision import float32_compute
from tf_admm.structure.tracing import trace


@dataclasses.dataclass(frozen=True)
class Part:
    """The entries of one weight that belong to the channels of a group.

    Attributes:
        path: structural path of the weight.
        variable: the weight.
        axis: the axis of the weight that is indexed, from 0.
        index: int array `(channels, entries)`: of each channel, the places along the
            axis.
        stays: whether the weight keeps its size when channels go, such as gamma of
            a normalisation over channels.
    """

    path: str
    variable: Any
    axis: int
    index: np.ndarray
    stays: bool = False

    @property
    def entries(self):
        """The number of entries of the weight that one channel has."""
        shape = self.variable.shape
        return int(np.prod(shape)) // shape[self.axis] * self.index.shape[1]


@dataclasses.dataclass(frozen=True, repr=False)
class ChannelGroup:
    """Channels that are tied one to one through the layers of a model.

    Attributes:
        name: structural path of the first layer that makes them.
        channels: their number.
        producers: tuple of `Part`: what makes a channel, kernels' outputs, biases,
            gamma and beta. Where all of its entries are 0.0, so is the channel.
        consumers: tuple of `Part`: kernels' inputs.
        statistics: tuple of `Part`: moving means and variances.
        macs: multiplications of one sample that one channel takes part in, `None` if
            the model's sizes are not known.
        why: why the group can't be pruned, or `None`.
    """

    name: str
    channels: int
    producers: tuple
    consumers: tuple
    statistics: tuple
    macs: int | None
    why: str | None

    @property
    def bytes(self):
        """Bytes of the weights that go with one channel, as float32."""
        parts = (*self.producers, *self.consumers, *self.statistics)
        # A table that makes and reads them by the same axis counts once.
        once = {(id(part.variable), part.axis): part for part in parts}
        return 4 * sum(part.entries for part in once.values() if not part.stays)

    def dead(self):
        """Which channels are 0.0 in all producers, a boolean array."""
        live = np.zeros(self.channels, bool)
        for part in self.producers:
            w = keras.ops.convert_to_numpy(part.variable)
            others = tuple(a for a in range(w.ndim) if a != part.axis)
            live |= (w != 0).any(axis=others)[part.index].any(axis=1)
        return ~live

    def __repr__(self):
        return f"<ChannelGroup {self.name}: {self.channels} channels>"


class ChannelGroups(Printed, list):
    """All `ChannelGroup`s of a model, in its order."""

    def __rich__(self):
        table = Table(title="Channel groups")
        table.add_column("group", overflow="fold")
        for name in ("channels", "MACs each", "bytes each", "members"):
            table.add_column(name, justify="right")
        table.add_column("read by", overflow="fold")
        table.add_column("can't be pruned:", overflow="fold")
        for group in self:
            table.add_row(
                group.name,
                f"{group.channels:,}",
                "-" if group.macs is None else f"{group.macs:,}",
                f"{group.bytes:,}",
                f"{len(group.producers) + len(group.consumers)}",
                _layers(group.consumers),
                group.why or "",
            )
        return table

    def named(self, name):
        """The group of that name."""
        return next(group for group in self if group.name == name)

    @property
    def prunable(self):
        """The groups that can be pruned."""
        return [group for group in self if group.why is None]


def _layers(parts):
    """The layers of these weights: the first, and how many more."""
    paths = dict.fromkeys(part.path.rpartition("/")[0] for part in parts)
    first, *more = paths or [""]
    return f"{first} + {len(more)}" if more else first


def channel_groups(
    model: keras.Model, *, samples: Any = None, verbose: int = 1
) -> ChannelGroups:
    """Find which channels of a model live and die together, and print them.

    A channel is an index of the last axis of a tensor. Add, Multiply, depthwise
    kernels, normalisations and elementwise operations tie the channels of what they
    read to those of what they return; so a group is made by all kernels, biases and
    normalisation parameters that write to it, and read by all kernels that it goes
    into. The heads of an attention, and the units of a recurrent layer, are groups.

    Args:
        model: a built functional or sequential model.
        samples: inputs in the structure of the model's, one or more; they say the
            sizes that the model leaves open, without which `macs` is `None`.
        verbose: 0 to print nothing.

    Returns:
        `ChannelGroups`, a list of `ChannelGroup`. Those that can't be pruned say why.

    Raises:
        ValueError: if the model is another, whose layers' calls can't be seen.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(16, 3, name="conv"),
    ...     keras.layers.BatchNormalization(name="norm"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(10, name="head"),
    ... ])
    >>> groups = tf_admm.channel_groups(model, verbose=0)
    >>> [(group.name, group.channels, group.why) for group in groups]
    [('conv', 16, None), ('head', 10, 'an output of the model')]
    >>> [part.path for part in groups[0].producers]
    ['conv/kernel', 'conv/bias', 'norm/gamma', 'norm/beta']
    """
    check_built(model)
    with float32_compute(model):
        channels = Channels(trace(model))
    return shown(ChannelGroups(_groups(model, channels, samples)), verbose)


def _groups(model, channels, samples):
    links, whys = _links(channels), channels.stuck() | channels.why
    members = {}
    for number, link in enumerate(links):
        places = channels.classes[channels.of(link.tensor)]
        for place, entries in zip(places.tolist(), link.index.tolist()):
            members.setdefault(place, {}).setdefault(number, []).extend(entries)
    alike = {}
    for place, found in members.items():
        counts = tuple((number, len(entries)) for number, entries in found.items())
        alike.setdefault((counts, whys.get(place)), []).append(found)
    paths, counts = weight_paths(model), _uses(model, samples)
    groups = [
        _group(links, [n for n, _ in key], found, why, paths, counts)
        for (key, why), found in alike.items()
    ]
    known = {id(link.variable) for link in links}
    others = _unknown(model, channels, known, counts)
    return _named([*(group for group in groups if group.producers), *others])


def _unknown(model, channels, known, counts):
    """A group for each kernel of a layer that nothing is known of, which stays."""
    whys = {}
    for call, kind in channels.kinds:
        if kind.opaque and isinstance(call.layer, keras.Layer):
            for layer, _ in walking.walk(call.layer):
                whys.setdefault(id(layer), channels.why_unknown(kind))
    for kernel in kernels.find(model):
        if id(kernel.variable) not in known and id(kernel.layer) in whys:
            axis = kernel.axes[1][-1]
            every = np.arange(kernel.variable.shape[axis])[:, None]
            part = Part(kernel.path, kernel.variable, axis, every)
            macs = (counts or {}).get(id(kernel.variable), 0) * part.entries
            yield ChannelGroup(
                kernel.path.rpartition("/")[0],
                len(every),
                (part,),
                (),
                (),
                None if counts is None else macs,
                whys[id(kernel.layer)],
            )


def _links(channels):
    """The links of all layers, each weight's once."""
    found = {}
    for _, kind in channels.kinds:
        for link in kind.links():
            key = (id(link.variable), link.axis % len(link.variable.shape), link.role)
            found.setdefault(key, link)
    return list(found.values())


def _group(links, numbers, found, why, paths, counts):
    """The group of the channels that have entries in the same weights.

    Args:
        numbers: places in `links` of the weights that have entries.
        found: a list with a dict, from such a place to entries, for each channel.
    """
    parts = {kinds.MAKES: [], kinds.READS: [], kinds.RIDES: []}
    macs = {}
    for number in numbers:
        link = links[number]
        index = np.array([entries[number] for entries in found])
        path = paths[id(link.variable)]
        axis = link.axis % len(link.variable.shape)
        part = Part(path, link.variable, axis, index, link.stays)
        parts[link.role].append(part)
        if counts is not None:
            key = id(link.variable), axis
            macs[key] = counts.get(id(link.variable), 0) * part.entries
    macs = None if counts is None else sum(macs.values())
    if len(found) == 1:
        why = why or "a single channel"
    producers = sorted(
        parts[kinds.MAKES], key=lambda part: len(part.variable.shape) < 2
    )
    name = producers[0].path.rpartition("/")[0] if producers else ""
    rest = (tuple(parts[role]) for role in (kinds.READS, kinds.RIDES))
    return ChannelGroup(name, len(found), tuple(producers), *rest, macs, why)


def _named(groups):
    """The groups, each with a name of its own."""
    seen, named = {}, []
    for group in groups:
        seen[group.name] = seen.get(group.name, 0) + 1
        if seen[group.name] > 1:
            name = f"{group.name}#{seen[group.name]}"
            group = dataclasses.replace(group, name=name)
        named.append(group)
    return named


def weight_paths(model):
    """The first structural path of each weight of a model, by its id."""
    paths = {}
    for layer, path in walking.walk(model):
        for variable in walking.own_variables(layer):
            paths.setdefault(id(variable), "/".join((*path, variable.name)))
    return paths


def _uses(model, samples):
    try:
        return uses.uses(model, samples)
    except ValueError:
        return None
