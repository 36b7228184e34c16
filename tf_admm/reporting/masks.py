"""The weights of each kernel: how large they are, and where they are."""

import keras
import numpy as np

from tf_admm.reporting import svg
from tf_admm.structure import kernels

#: Kernels that are drawn, the largest.
SHOWN = 24
#: Rows and columns of the largest picture of a mask.
PIXELS = 160
#: Shades of a picture of a mask, which keep it small.
SHADES = 8
#: Where in the picture the two parts are, which takes long to find out.
LEFT, RIGHT = (0.14, 0.23, 0.33, 0.65), (0.65, 0.23, 0.34, 0.65)
#: How much of its colour the emptiest tile has that is not empty.
FAINT = 0.3
#: Its colour, which can be seen on a light and on a dark page.
COLOR = (0.22, 0.49, 0.92)


def pictures(model):
    """Pairs of a `Kernel` and its `Picture`, in the order of the layers."""
    found = kernels.find(model)
    large = sorted(found, key=lambda kernel: kernel.size, reverse=True)[:SHOWN]
    drawn = {id(kernel) for kernel in large}
    with svg.style():
        return [(k, _picture(k)) for k in found if id(k) in drawn]


def _picture(kernel):
    """Histogram of what is not zero, and where it is."""
    w = keras.ops.convert_to_numpy(kernel.canonical(kernel.variable))
    w = w.astype("float32")
    mask = w.reshape(-1, w.shape[-1]) != 0
    figure, (left, right) = svg.figure(190, ncols=2)
    figure.set_layout_engine("none")
    left.set_position(LEFT)
    right.set_position(RIGHT)
    _histogram(left, w[np.isfinite(w) & (w != 0)])
    _places(right, mask)
    return svg.picture(
        figure,
        f"{kernel.path}: histogram of the {mask.sum():,} weights that are not zero, of "
        f"{mask.size:,}; and where they are, in {mask.shape[0]:,} positions and inputs "
        f"by {mask.shape[1]:,} outputs.",
    )


def _histogram(axes, values):
    from matplotlib import ticker

    counts, edges = np.histogram(values, bins=40)
    axes.stairs(counts, edges, fill=True, color=svg.STRONG)
    axes.set(title="weights not zero", xlabel="weight", ylabel="count")
    axes.set_ylim(0, max(counts.max() * 1.05, 1))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(3, integer=True))


def _places(axes, mask):
    from matplotlib import ticker

    shade = np.ceil(SHADES * shrunk(mask)) / SHADES
    image = np.empty((*shade.shape, 4))
    image[..., :3], image[..., 3] = (
        COLOR,
        np.where(shade, FAINT + (1 - FAINT) * shade, 0),
    )
    rows, columns = mask.shape
    extent = (0, columns, rows, 0)
    axes.imshow(image, aspect="auto", extent=extent, interpolation="none")
    axes.grid(False)
    axes.spines[:].set_visible(True)
    axes.set(title="where", xlabel="outputs", ylabel="positions and inputs")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(3, integer=True))


def shrunk(mask):
    """The share of ones in each of at most `PIXELS` x `PIXELS` tiles."""
    for axis in (0, 1):
        count = -(-mask.shape[axis] // PIXELS)
        edges = np.arange(0, mask.shape[axis], count)
        sums = np.add.reduceat(mask.astype("float64"), edges, axis=axis)
        sizes = np.diff([*edges, mask.shape[axis]])
        mask = sums / (sizes[:, None] if axis == 0 else sizes)
    return mask
