"""Pictures as SVG inside a page: drawn by matplotlib, in the colours of the page."""

import contextlib
import dataclasses
import io
import re
import warnings

#: Colours to draw with, and what the page has in their place, in light and in dark.
INK, MUTED, LINE, PALE, STRONG, OTHER = (f"#01010{i}" for i in range(1, 7))
IN_PAGE = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    PALE: "var(--pale)",
    STRONG: "var(--strong)",
    OTHER: "var(--other)",
}
#: matplotlib's settings; one point is one pixel of the page.
SETTINGS = {
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "font.size": 11,
    "grid.color": LINE,
    "image.composite_image": False,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "svg.fonttype": "none",
    "text.color": INK,
    # Names of layers are no formulas.
    "text.parse_math": False,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 11,
    "ytick.color": LINE,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 11,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}
#: What matplotlib writes and the page has no use for: patterns, and what stays.
CLEANED = (
    ("<style.*?</style>|<metadata>.*?</metadata>|<!--.*?-->", ""),
    ('<g id="[^"]*"', "<g"),
    ('font-family: [^;"<]*; ', ""),
    (r' transform="rotate\(-0 [^)]*\)"', ""),
    (r"\s*\n\s*", "\n"),
)
#: Pixels of a picture that a phone shows at its own size.
WIDTH = 350


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture for the page.

    Attributes:
        title: what it shows, in words and numbers, for who can't see it.
        width, height: in pixels.
        body: SVG, what is inside the outermost tag.
    """

    title: str
    width: float
    height: float
    body: str


@contextlib.contextmanager
def style():
    """The page's style, whatever matplotlib was set to by whoever calls."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        # The reader's browser has other fonts.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def figure(height, width=WIDTH, **subplots):
    """A figure of so many pixels, and its axes."""
    # Not pyplot, which would change the backend of whoever calls.
    from matplotlib.figure import Figure

    made = Figure((width / 72, height / 72))
    return made, made.subplots(**subplots)


def picture(figure, title):
    """The figure as a `Picture`; equal figures make equal text."""
    import matplotlib

    file = io.StringIO()
    none = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # Each has names of its own for what it refers to.
    with matplotlib.rc_context({"svg.hashsalt": title}):
        figure.savefig(file, format="svg", metadata=none)
    width, height = (72 * size for size in figure.get_size_inches())
    return Picture(title, width, height, _inside(file.getvalue()))


def _inside(text):
    """What is in the outermost tag, with no names but those that are referred to."""
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    for pattern, instead in CLEANED:
        body = re.sub(pattern, instead, body, flags=re.DOTALL)
    return re.sub("(?<=: )#01010[1-6]", lambda found: IN_PAGE[found[0]], body)
