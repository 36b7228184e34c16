"""Layers and operations that exchange axes."""

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.elementwise import Channelwise


class Transposed(Channelwise):
    """Permute and transpose, of axes before the last."""

    @classmethod
    def for_call(cls, call):
        kind = cls(call)
        stays = len(call.inputs) == 1 and kind.axes_after()[-1] == len(kind.x.shape) - 1
        return kind if stays else Moved(call, kind.axes_after)

    def axes_after(self):
        """Which axis of the input is where in the output."""
        rank = len(self.x.shape)
        axes = self.layer.axes or range(rank)[::-1]
        return [axis % rank for axis in axes]


class Permuted(Transposed):
    """Permute, which counts axes from 1, the batch left out."""

    def axes_after(self):
        return [0, *self.layer.dims]


class Swapped(Transposed):
    """`keras.ops.swapaxes`."""

    def axes_after(self):
        axes = list(range(len(self.x.shape)))
        i, j = self.layer.axis1, self.layer.axis2
        axes[i], axes[j] = axes[j], axes[i]
        return axes


class Reordered(Transposed):
    """`keras.ops.moveaxis`."""

    def axes_after(self):
        rank = len(self.x.shape)
        places = [axis % rank for axis in self.layer.destination]
        moved = dict(zip(places, (axis % rank for axis in self.layer.source)))
        others = iter(sorted(set(range(rank)) - set(moved.values())))
        return [moved[i] if i in moved else next(others) for i in range(rank)]


class Moved(Kind):
    """Any of these where the channels become positions, where some readers follow them.

    Args:
        call: the `Call`.
        axes_after: function to which axis of the input is where in the output.
    """

    opaque = False

    def __init__(self, call, axes_after):
        super().__init__(call)
        self._axes_after = axes_after

    def why_opaque(self):
        plain = not self.opaque and len(self.call.inputs) == 1
        return None if plain else super().why_opaque()

    def meet(self, makers, readers):
        axis = self._axes_after().index(len(self.x.shape) - 1)
        found = readers.get(id(self.y), [])
        self.opaque = not all(kind is not None and kind.follows(axis) for kind in found)

    def before(self, y, letters):
        if self.opaque:
            return y, letters
        places = dict(zip(self._axes_after(), letters))
        return self.x, "".join(places[axis] for axis in range(len(letters)))

    def whole(self):
        return [(self.y, f"'{self.layer.name}' makes positions of the channels")]
