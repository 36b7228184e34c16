"""Pages that are read, and reports whose values are chosen."""

import html.parser

import keras
import numpy as np

import tf_admm
from tf_admm.reporting.frontier import Point
from tf_admm.reporting.variants import Variant

L = keras.layers
X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = X[:, :1] - 0.3 * X[:, 1:2]


class Page(html.parser.HTMLParser):
    """Pictures, headings, text and addresses of a page."""

    def __init__(self, path):
        super().__init__()
        self.pictures, self.addresses, self.tags, self.open = [], [], [], []
        self.data, self.headings = [], []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.open.append(tag)
        if tag == "svg":
            assert attributes["role"] == "img"
            self.pictures.append(attributes["aria-label"])
        names = ("href", "src", "xlink:href", "srcset", "action")
        self.addresses += [attributes[name] for name in names if name in attributes]

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self.open:
            self.data.append(data.strip())
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def small(name="small", last="last"):
    """A regression, compiled, half of whose weights are zero."""
    keras.utils.set_random_seed(0)
    layers = [L.Dense(16, "relu", name="first"), L.Dense(1, name=last)]
    model = keras.Sequential([keras.Input((4,)), *layers], name=name)
    model.compile("adam", "mse", metrics=["mae"])
    for w in (layer.kernel for layer in layers):
        values = np.array(w)
        w.assign(np.where(abs(values) < np.median(abs(values)), 0, values))
    return model


def reported(model, *others, **options):
    """A report with values that are chosen: of a dense file, and of others."""
    summary = tf_admm.summary(model, verbose=0)
    paths = [row.path for row in summary.rows]
    options = {"metric": "mae", "better": "min"} | options
    return tf_admm.DeploymentReport(
        [DENSE, *others], {}, summary, dict.fromkeys(paths, "no"), **options
    )


DENSE = Variant("dense float32", 1000, 900, 80, 40, "", 0.2, 1.0, 0.5)
SPARSE = Variant("sparse float32", 250, 240, 80, 40, "", 0.1, 2.0, 0.5)
INT8 = Variant("int8", 125, 120, 80, 40, "", 0.4, 0.5, 0.502, "int8")
WORSE = Variant("shrunk int8", 50, 50, 8, 4, "", 0.02, 10.0, 0.6, "int8")


LOSS = [3.0, 2.0, 1.5, 1.25]
RHO = [0.1, 0.1, 0.0, 0.0]
POINTS = [
    Point("dense", 1.0, 0.30, True),
    Point("ten", 0.1, 0.31, True),
    Point("hundred", 0.01, 0.50, False),
]
