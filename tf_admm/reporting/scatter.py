"""The frontier: how good the model is at each size that was tried."""

from tf_admm.reporting import svg
from tf_admm.reporting import words

#: Ticks of an axis that spans less than two decades, and of a longer one.
SHORT, LONG = (1, 2, 5), (1,)


def picture(points, unit, metric, bound):
    """A metric over what is kept, on an axis with decades.

    Args:
        points: list of `Point`.
        unit: what the size is a share of.
        metric: its name, or `None`.
        bound: the metric that was asked for, or `None`.
    """
    with svg.style():
        figure, axes = svg.figure(290)
        _lines(axes, points, metric, bound)
        for label, some in _by_label(points).items():
            _dots(axes, some, label)
        _axes(axes, points, unit, metric)
        # Two reasons side by side would run out of the picture.
        columns = 1 if any(point.why for point in points) else 2
        figure.legend(loc="outside lower left", ncols=columns)
        return svg.picture(figure, _title(points, unit, metric, bound))


def _by_label(points):
    """The points, and what is said of them."""
    found = {}
    for point in sorted(points, key=lambda point: (not point.meets, point.why)):
        label = "within the goal" if point.meets else point.why or "not within the goal"
        found.setdefault(label, []).append(point)
    return found


def _dots(axes, points, label):
    axes.plot(
        [point.size for point in points],
        [point.metric for point in points],
        linestyle="none",
        marker="s" if points[0].why else "o",
        markersize=7,
        markerfacecolor=svg.STRONG if points[0].meets else "none",
        markeredgecolor=svg.STRONG,
        label=label,
    )


def _lines(axes, points, metric, bound):
    dense = [point.metric for point in points if point.size == 1.0]
    if dense:
        text = f"dense, {words.value(dense[0], metric)}"
        axes.axhline(dense[0], color=svg.MUTED, linewidth=1, label=text)
    if bound is not None:
        text = f"asked for, {words.value(bound, metric)}"
        axes.axhline(bound, color=svg.OTHER, linewidth=1.2, dashes=(4, 3), label=text)


def _axes(axes, points, unit, metric):
    from matplotlib import ticker

    smallest = min(point.size for point in points)
    axes.set_xscale("log")
    axes.set_xlim(smallest / 1.5, 1.3)
    subs = SHORT if smallest > 0.01 else LONG
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{100 * x:g} %"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlabel(f"{unit} (logarithmic)")
    if words.is_share(metric):
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0, symbol=" %"))
    axes.set_title(metric or "metric")


def smallest(points):
    """The smallest within the goal, or `None`."""
    good = [point for point in points if point.meets]
    return min(good, key=lambda point: point.size, default=None)


def _title(points, unit, metric, bound):
    asked = "" if bound is None else f", asked for {words.value(bound, metric)}"
    text = f"{metric or 'metric'} over {unit}, {len(points)} models{asked}. "
    best = smallest(points)
    if best is None:
        return text + "None is within the goal."
    return text + (
        f"The smallest within the goal, {best.name}, has "
        f"{words.share(best.size)} of {unit} and {words.value(best.metric, metric)}."
    )
