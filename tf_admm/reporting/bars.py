"""Where the bytes and multiplications of a model went, kernel by kernel."""

import dataclasses

from tf_admm.reporting import svg

#: Kernels with a bar of their own; the others share one.
SHOWN = 30
#: Pixels of a row: a line of text and its bar.
ROW = 32
#: Letters of a name.
LETTERS = 27
#: Bytes of one float32 weight.
BYTES = 4


@dataclasses.dataclass(frozen=True)
class Row:
    """What a kernel, or several, come to.

    Attributes:
        name: of the kernel.
        bytes, bytes_left: of float32 weights, and of those that are not zero.
        macs, macs_left: multiplications of one sample, and those by weights that are
            not zero.
    """

    name: str
    bytes: int
    bytes_left: int
    macs: int
    macs_left: int


def rows(report):
    """A `Row` for each kernel, in the order of the layers, the smallest together."""
    every = [_row(row, report.uses.get(row.path, 0)) for row in report.summary.rows]
    total = _total("", every)

    def share(row):
        macs = row.macs / max(total.macs, 1)
        return max(row.bytes / max(total.bytes, 1), macs)

    large = sorted(every, key=share, reverse=True)[:SHOWN]
    names = {row.name for row in large}
    rest = [row for row in every if row.name not in names]
    shown = [row for row in every if row.name in names]
    return shown + [_total(f"the other {len(rest)} kernels", rest)] * bool(rest)


def _row(row, uses):
    return Row(
        row.path,
        BYTES * row.total,
        BYTES * row.kept,
        uses * row.total,
        uses * row.kept,
    )


def _total(name, rows):
    fields = ("bytes", "bytes_left", "macs", "macs_left")
    return Row(name, *(sum(getattr(row, field) for row in rows) for field in fields))


def pictures(report):
    """Bars of bytes and, where they are known, of multiplications."""
    found = rows(report)
    if not found:
        return []
    sizes = [(row.name, row.bytes, row.bytes_left) for row in found]
    counts = [(row.name, row.macs, row.macs_left) for row in found]
    drawn = [("Bytes of float32 weights", sizes), ("Multiplications, 1 sample", counts)]
    return [_picture(*each) for each in drawn[: 1 + bool(report.uses)]]


def _picture(title, values):
    total, left = (sum(value[i] for value in values) for i in (1, 2))
    height = ROW * len(values) + 70
    with svg.style():
        figure, axes = svg.figure(height)
        figure.set_layout_engine("none")
        axes.set_position([0.01, 28 / height, 0.94, (ROW * len(values)) / height])
        _draw(axes, values)
        figure.text(0.01, 1 - 14 / height, title, size=12, color=svg.INK)
        figure.legend(
            ncols=2,
            loc="upper left",
            bbox_to_anchor=(0.0, 1 - 18 / height),
            borderaxespad=0,
            borderpad=0.2,
            handlelength=1,
        )
        return svg.picture(
            figure,
            f"{title}: {total:,} in all, {left:,} of them of weights that are not "
            f"zero. The most has {_most(values)}.",
        )


def _most(values):
    name, most, left = max(values, key=lambda value: value[1])
    return f"{name}: {most:,}, of which {left:,} are left"


def _draw(axes, values):
    from matplotlib import ticker

    places = range(len(values))
    axes.barh(places, [v[1] for v in values], 0.3, color=svg.PALE, label="zero")
    axes.barh(places, [v[2] for v in values], 0.3, color=svg.STRONG, label="not zero")
    largest = max(*(value[1] for value in values), 1)
    for place, (name, most, left) in enumerate(values):
        axes.text(0, place - 0.25, short(name), va="bottom", size=11)
        text = f"{left:,} of {most:,}"
        axes.text(largest, place - 0.25, text, va="bottom", ha="right", color=svg.MUTED)
    axes.set(xlim=(0, largest), ylim=(len(values) - 0.7, -0.8), yticks=[])
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    axes.grid(False)


def short(path):
    """A name that fits above a bar; that of a layer stands for its `kernel`."""
    name = path.removesuffix("/kernel")
    return name if len(name) <= LETTERS else f"\u2026{name[1 - LETTERS :]}"
