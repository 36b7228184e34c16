"""The report as one HTML page, with its pictures in it."""

import datetime
import importlib.resources
import os
import platform

import keras

from tf_admm import files
from tf_admm.reporting import bars
from tf_admm.reporting import cards
from tf_admm.reporting import curves
from tf_admm.reporting import masks
from tf_admm.reporting import scatter
from tf_admm.reporting import variants
from tf_admm.reporting import words
from tf_admm.reporting.history import ADMM
from tf_admm.reporting.history import read
from tf_admm.version import __version__


def check(path):
    """Raise, before any work, if the page could not be made.

    Raises:
        ImportError: if there is no jinja2 or no matplotlib.
        ValueError: if the path can't be written.
    """
    if path is None:
        return
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not files.can_write(folder):
        raise ValueError(
            f"Expected `html` to be a file that can be written. Received: {path}"
        )
    check_libraries()


def check_libraries():
    """Raise `ImportError` if there is no jinja2 or no matplotlib."""
    try:
        import jinja2  # noqa: F401, so that its absence shows now
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Expected jinja2 and matplotlib, which make the page: "
            f"`pip install tf_admm[report]`. Received: {error}"
        ) from error


def write(
    path,
    model,
    report,
    history=None,
    frontier=None,
    frontier_unit="weights left",
    bound=None,
    headline=None,
    beside=False,
):
    """Write the page, in place of what was there.

    Args:
        path: of the page.
        model: the Keras model.
        report: its `DeploymentReport`.
        history: of its training, as `tf_admm.report` takes it, or `None`.
        frontier: list of `Point`, of a search for a smaller model, or `None`. One of
            size 1.0 is the dense model.
        frontier_unit: what the size of a point is a share of.
        bound: the metric that the points were to meet, or `None`.
        headline: what the page begins with; the report's own by default.
        beside: whether the files are beside the page; how to write the one to ship is
            said where they are not.
    """
    text = _template().render(
        model=model.name,
        report=report,
        headline=headline or report.headline,
        chosen=report.choice(),
        files=_files(report),
        turns=variants.TURNS,
        recipe=None if beside else variants.recipe(report.choice()),
        file=variants.file_name(report.choice().name),
        cards=cards.cards(report),
        frontier=_frontier(report, frontier, frontier_unit, bound),
        bars=bars.pictures(report),
        curves=_curves(report, history),
        kernels=_kernels(report),
        masks=masks.pictures(model),
        made=_made(),
    )
    with (
        files.replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        file.write(text)


def _template():
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    place = importlib.resources.files("tf_admm.reporting") / "page.html"
    return environment.from_string(place.read_text(encoding="utf-8"))


def _files(report):
    """Pairs of a variant's cells by their titles, and whether it is the one to ship."""
    heads = ("name", "bytes", "gzip", "macs", "left", "ms", "faster", "metric")
    chosen = report.choice()
    return [
        (dict(zip(heads, row)), variant is chosen)
        for variant, row in zip(report.variants, report.rows())
    ]


def _frontier(report, points, unit, bound):
    """The picture of the points, and their rows, the smallest first."""
    if not points:
        return None
    best = scatter.smallest(points)
    ordered = sorted(points, key=lambda point: point.size)
    values = words.values([point.metric for point in ordered], report.metric)
    rows = [
        (
            point.name,
            words.share(point.size),
            value,
            words.answer(point.meets, point.why),
            point is best,
        )
        for point, value in zip(ordered, values)
    ]
    picture = scatter.picture(points, unit, report.metric, bound)
    return {"picture": picture, "rows": rows, "unit": unit}


def _curves(report, history):
    if history is None:
        return None
    columns = read(history)
    return {
        "pictures": curves.pictures(columns, report.metric),
        "retraining": curves.retraining(columns),
        "admm": any(name in columns for name in ADMM),
    }


def _kernels(report):
    return [
        (
            row.path,
            " x ".join(map(str, row.shape)),
            f"{row.kept:,}",
            f"{row.total:,}",
            f"{100 * row.sparsity:.2f} %",
            f"{row.live:,} of {row.units:,}",
            report.prospects[row.path],
        )
        for row in report.summary.rows
    ]


def _made():
    """By what, when and where: what latencies are good for."""
    day = datetime.date.today()
    return (
        f"tf_admm {__version__} and Keras {keras.__version__}, on "
        f"{day.day} {day:%B %Y}, {platform.system()} on {platform.machine()}"
    )
