"""The report as one HTML page, with its pictures in it."""

import base64
import html as markup
import io
import os

import numpy as np

from tf_admm import files
from tf_admm.structure import kernels

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; }
table { border-collapse: collapse; margin: 1em 0; }
td, th { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: right; }
td:first-child, th:first-child, td:last-child { text-align: left; }
img { max-width: 100%; }
"""
#: Columns of the table of kernels.
KERNEL_HEADS = ("kernel", "shape", "kept", "of", "zeros", "live outputs", "faster?")
#: Rows and columns of the largest picture of a mask.
PIXELS = 400


def check(path):
    """Raise, before any work, if the page could not be made."""
    if path is None:
        return
    folder = os.path.dirname(os.path.abspath(path))
    if (
        os.path.isdir(path)
        or not os.path.isdir(folder)
        or not os.access(folder, os.W_OK)
    ):
        raise ValueError(
            f"Expected `html` to be a file that can be written. Received: {path}"
        )
    import matplotlib  # noqa: F401, so that its absence shows now


def write(path, model, report, rows):
    """Write the page, in place of what was there."""
    layers = [
        (row.path, row.shape, f"{row.kept:,}", f"{row.total:,}", f"{row.sparsity:.2%}")
        + (f"{row.live} / {row.units}", report.prospects[row.path])
        for row in report.summary.rows
    ]
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>{_text(model.name)}</title>",
        f"<style>{STYLE}</style><h1>{_text(model.name)}</h1>",
        "<h2>Files, measured on one thread of one machine</h2>",
        _table(*rows),
        _picture(_bytes(report), "Bytes of each file"),
        "<h2>Kernels</h2>",
        _table(KERNEL_HEADS, *layers),
        *(_picture(_kernel(k), k.path) for k in kernels.find(model)),
    ]
    with (
        files.replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        file.write("\n".join(parts))


def _text(value):
    return markup.escape(str(value))


def _table(heads, *rows):
    def line(cells, tag):
        return "<tr>" + "".join(f"<{tag}>{_text(c)}</{tag}>" for c in cells) + "</tr>"

    lines = [line(heads, "th"), *(line(row, "td") for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _picture(figure, title):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=90, bbox_inches="tight")
    data = base64.b64encode(file.getvalue()).decode()
    source = f"data:image/png;base64,{data}"
    return f"<figure><img alt='{_text(title)}' src='{source}'></figure>"


def _figure(width, height, columns):
    # Not pyplot, which would change the backend of whoever calls.
    from matplotlib.figure import Figure

    figure = Figure((width, height))
    return figure, figure.subplots(1, columns)


def _bytes(report):
    figure, axes = _figure(9, 0.4 * len(report.variants) + 1, 1)
    names = [variant.name for variant in report.variants][::-1]
    axes.barh(
        names, [variant.bytes for variant in report.variants][::-1], label="bytes"
    )
    zipped = [variant.gzip_bytes for variant in report.variants][::-1]
    axes.barh(names, zipped, height=0.4, label="gzipped")
    axes.set_xscale("log")
    axes.legend()
    return figure


def _kernel(kernel):
    """Histogram of what is not zero, and where it is."""
    w = np.array(kernel.canonical(kernel.variable))
    figure, (left, right) = _figure(11, 3, 2)
    left.hist(w[w != 0], bins=60)
    left.set_title(f"{kernel.path}: weights that are not zero")
    mask = w.reshape(-1, w.shape[-1]) != 0
    extent = (0, mask.shape[1], mask.shape[0], 0)
    right.imshow(_shrunk(mask), cmap="Greys", aspect="auto", extent=extent)
    right.set_title("places; darker is denser")
    right.set_xlabel("outputs")
    right.set_ylabel("positions and inputs")
    return figure


def _shrunk(mask):
    """The share of ones in each of at most 400 x 400 tiles."""
    for axis in (0, 1):
        count = -(-mask.shape[axis] // PIXELS)
        edges = np.arange(0, mask.shape[axis], count)
        sums = np.add.reduceat(mask.astype("float64"), edges, axis=axis)
        sizes = np.diff([*edges, mask.shape[axis]])
        mask = sums / (sizes[:, None] if axis == 0 else sizes)
    return mask
