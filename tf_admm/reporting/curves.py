"""How the training went: each column of its history over the epochs."""

import numpy as np

from tf_admm.reporting import history
from tf_admm.reporting import svg
from tf_admm.reporting import words

#: Metrics that are drawn, the report's own first.
METRICS = 3
#: Curves of one picture: columns of the history and their names in it.
RESIDUALS = (("admm_primal_rel", "primal"), ("admm_dual_rel", "dual"))


def pictures(columns, first):
    """A picture for each of metric, loss, residuals, support, rho and penalty.

    Args:
        columns: as `history.read` returns them.
        first: the metric to begin with.
    """
    with svg.style():
        drawn = [_picture(columns, *panel) for panel in _panels(columns, first)]
    return [picture for picture in drawn if picture is not None]


def _panels(columns, first):
    """Title, curves, and how the axis is drawn."""
    names = sorted(history.metrics(columns), key=lambda name: name != first)
    for name in names[:METRICS]:
        yield name, _twice(name), _share if words.is_share(name) else _any
    yield "loss", _twice("loss"), _from_zero
    yield "relative residuals", RESIDUALS, _decades
    yield "kept weights that changed", (("admm_changed", ""),), _share_from_zero
    yield "rho", (("rho", ""),), _from_zero
    yield "ADMM penalty", (("admm_penalty", ""),), _from_zero


def _twice(name):
    return ((name, "training"), (f"val_{name}", "validation"))


def _picture(columns, title, curves, draw):
    there = [(columns[key], label) for key, label in curves if key in columns]
    if not there:
        return None
    figure, axes = svg.figure(200)
    _shade(axes, columns)
    for ((epochs, values), label), color in zip(there, (svg.STRONG, svg.OTHER)):
        axes.plot(epochs, values, ".-", color=color, label=label)
    draw(axes, np.concatenate([values for (_, values), _ in there]))
    _name(axes, figure, title, there)
    return svg.picture(figure, f"{title} over the epochs. {_ends(title, there)}")


def _name(axes, figure, title, there):
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    start, _ = axes.get_ylim()
    # A formatter of matplotlib has no digits before its ticks are placed.
    begins = f" (axis from {words.value(start, title)})"
    axes.set_title(title + (begins if start > 0 and _is_linear(axes) else ""))
    if there[0][1]:
        figure.legend(loc="outside lower left", ncols=2)


def _is_linear(axes):
    return axes.get_yscale() == "linear"


def _ends(title, there):
    """In words and numbers, for who can't see the curves."""
    return " ".join(
        f"{label or title}: {words.value(values[0], title)} in epoch {epochs[0]}, "
        f"{words.value(values[-1], title)} in epoch {epochs[-1]}."
        for (epochs, values), label in there
    )


def retraining(columns):
    """Where rho has fallen to 0.0: pairs of the first epoch and the last."""
    epochs, rho = columns.get("rho", ((), np.zeros(0)))
    zero = np.concatenate([[False], rho == 0, [False]])
    starts, ends = (
        np.flatnonzero(zero[1:] & ~zero[:-1]),
        np.flatnonzero(~zero[1:] & zero[:-1]),
    )
    return [
        (epochs[start], epochs[end - 1]) for start, end in zip(starts, ends) if start
    ]


def _shade(axes, columns):
    for first, last in retraining(columns):
        axes.axvspan(first - 0.5, last + 0.5, color=svg.LINE, alpha=0.5, linewidth=0)


def _any(axes, values):
    """From zero where that costs no more than half of the picture."""
    if 0 <= values.min() <= values.max() / 2:
        axes.set_ylim(bottom=0)


def _from_zero(axes, values):
    if values.min() >= 0:
        axes.set_ylim(bottom=0)


def _share(axes, values):
    from matplotlib.ticker import PercentFormatter

    _any(axes, values)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))


def _share_from_zero(axes, values):
    _share(axes, values)
    axes.set_ylim(0, max(values.max() * 1.05, 0.01))


def _decades(axes, values):
    """Logarithmic, decades named, where all is above zero; what is zero is left out."""
    from matplotlib import ticker

    above = values[values > 0]
    if not len(above):
        return _from_zero(axes, values)
    low, high = np.floor(np.log10(above.min())), np.ceil(np.log10(above.max()))
    axes.set_yscale("log", nonpositive="mask")
    axes.set_ylim(10.0**low, 10.0 ** max(high, low + 1))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
