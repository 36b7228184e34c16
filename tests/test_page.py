"""The page of a report: its numbers, its pictures, and that it asks for nothing."""

import ast
import dataclasses
import os
import re
import sys

import keras
import numpy as np
import pytest
import test_layering
from pages import DENSE
from pages import INT8
from pages import LOSS
from pages import POINTS
from pages import RHO
from pages import SPARSE
from pages import WORSE
from pages import L
from pages import Page
from pages import X
from pages import Y
from pages import reported
from pages import small

import tf_admm
from tf_admm.reporting import bars
from tf_admm.reporting import curves
from tf_admm.reporting import history
from tf_admm.reporting import masks
from tf_admm.reporting import page
from tf_admm.reporting import words
from tf_admm.reporting.frontier import Point

NAME = 'a<b&"c$x$'


@pytest.fixture(scope="module")
def regression():
    """A report of the regression, and the model."""
    model = small()
    uses = {"first/kernel": 1, "last/kernel": 1}
    return reported(model, SPARSE, INT8, WORSE, uses=uses), model


def drawn(tmp_path, regression, **options):
    path = tmp_path / "page.html"
    page.write(path, regression[1], regression[0], **options)
    return Page(path)


def test_of_many_kernels(tmp_path):
    """The smallest share a bar, only the largest are drawn, the page stays small."""
    rng = np.random.default_rng(0)
    every = [L.Dense(320, name=f"layer{i}") for i in range(40)]
    model = keras.Sequential([keras.Input((320,)), *every])
    for layer in every:
        layer.kernel.assign(
            rng.normal(size=(320, 320)) * (rng.random((320, 320)) < 0.5)
        )
    report = reported(model, SPARSE)
    rows = bars.rows(report)
    assert len(rows) == bars.SHOWN + 1 and rows[-1].name == "the other 10 kernels"
    assert sum(row.bytes for row in rows) == 4 * 320 * 320 * 40
    path = tmp_path / "page.html"
    page.write(path, model, report)
    assert os.path.getsize(path) < 2e6
    found = Page(path)
    # Without `uses` there is no picture of multiplications.
    assert len(found.pictures) == 1 + masks.SHOWN
    assert any("24 largest of 40 kernels" in text for text in found.data)


def test_names_are_text(tmp_path):
    model = small(name="<i>model&", last=NAME)
    path = tmp_path / "page.html"
    page.write(path, model, reported(model, SPARSE))
    found = Page(path)
    assert "i" not in found.tags and "<i>model&" in found.data
    assert any(NAME in text for text in found.data)
    assert any(f"{NAME}/kernel" in title for title in found.pictures)


def test_the_page_of_a_regression(regression, tmp_path):
    report, _ = regression
    found = drawn(tmp_path, regression)
    assert "mae" in found.data and "+0.4 %" in found.data
    assert any("0.5000 \u2192 0.5020; less is better" in text for text in found.data)
    assert report.headline in found.data
    # 80 multiplications, 40 of them by weights that are left.
    heads = ["multiplications", "by weights not zero"]
    assert found.data[found.data.index("times faster") + 1 :][:2] == heads
    assert found.data.count("40") >= 3
    assert found.headings == [
        "The files",
        "Where bytes and multiplications went",
        "What is left of each kernel",
    ]


def test_the_page_without_data(tmp_path):
    model = small()
    found = [dataclasses.replace(v, metric=None) for v in (DENSE, SPARSE, INT8)]
    report = reported(model, metric=None, better=None)
    report = dataclasses.replace(report, variants=found)
    assert "not measured" in drawn(tmp_path, (report, model)).data
    assert report.choice().name == "sparse float32"


def test_equal_reports_are_equal_pages(regression, tmp_path):
    first = drawn(tmp_path, regression).text
    assert drawn(tmp_path, regression).text == first


@pytest.fixture(scope="module")
def histories(tmp_path_factory):
    """Two epochs, as each kind of history."""
    path = tmp_path_factory.mktemp("history") / "history.csv"
    logger = keras.callbacks.CSVLogger(path)
    made = small().fit(X, Y, epochs=2, verbose=0, callbacks=[logger])
    return {"dict": made.history, "csv": path, "path": str(path), "History": made}


@pytest.mark.parametrize("kind", ["dict", "csv", "path", "History"])
def test_histories(kind, histories, regression, tmp_path):
    found = drawn(tmp_path, regression, history=histories[kind])
    assert "How training went" in found.headings
    first, last = histories["dict"]["loss"]
    text = f"training: {first:.4f} in epoch 1, {last:.4f} in epoch 2."
    assert f"loss over the epochs. {text}" in found.pictures
    assert not any("retrained" in text for text in found.data)


def test_retraining_is_shaded(regression, tmp_path):
    found = drawn(tmp_path, regression, history={"loss": LOSS, "rho": RHO})
    assert any("retrained" in text for text in found.data)
    columns = history.read({"loss": LOSS, "rho": RHO})
    assert curves.retraining(columns) == [(3, 4)]
    twice = history.read({"rho": [0.0, 1, 1, 0, 0, 1, 0]})
    assert curves.retraining(twice) == [(4, 5), (7, 7)]


def test_what_is_not_there_each_epoch(regression, tmp_path):
    """Every other epoch in a dict of lists; "NA" in a CSV."""
    history = {"loss": LOSS, "val_loss": [2.5, 1.75]}
    titles = drawn(tmp_path, regression, history=history).pictures
    assert any("validation: 2.500 in epoch 2, 1.750 in epoch 4." in t for t in titles)
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss,val_loss,note\n0,3,NA,x\n1,2,2.5,y\n")
    titles = drawn(tmp_path, regression, history=path).pictures
    assert any("validation: 2.500 in epoch 2, 2.500 in epoch 2." in t for t in titles)


def test_the_frontier(regression, tmp_path):
    found = drawn(
        tmp_path,
        regression,
        frontier=POINTS,
        frontier_unit="multiplications left",
        bound=0.32,
    )
    assert found.headings[0] == "How good at each size"
    title = found.pictures[0]
    assert "3 models, asked for 0.32" in title
    assert "ten, has 10.00 % of multiplications left and 0.3100" in title
    assert {"dense, 0.3000", "within the goal", "not within the goal"} <= set(
        found.data
    )


def test_a_column_has_one_number_of_decimals(regression, tmp_path):
    """The smallest metric has four digits, the smallest time three; shares have two."""
    report, model = regression
    values = zip(report.variants, (33.5, 33.71, 34.1, 320.5), (0.155, 0.0128, 1.0, 22))
    found = [
        dataclasses.replace(v, metric=metric, milliseconds=milliseconds)
        for v, metric, milliseconds in values
    ]
    report = dataclasses.replace(report, variants=found)
    points = [Point("a", 0.5, 33.5, True), Point("b", 1 / 3, 34.1, False)]
    text = " ".join(drawn(tmp_path, (report, model), frontier=points).data)
    for metric in ("33.50", "33.71", "34.10", "320.50"):
        assert f" {metric} " in text and metric in repr(report)
    for milliseconds in ("0.1550", "0.0128", "1.0000", "22.0000"):
        assert f" {milliseconds} " in text and milliseconds in repr(report)
    assert " 50.00 %" in text and " 33.33 %" in text


NUMBERS = {
    "four digits of the smallest": ([0.5, 12.0, None], ["0.5000", "12.0000", "-"]),
    "large": ([123456.7, 23456.0], ["123457", "23456"]),
    "seven decimals at the most": ([1e-6, 0.01], ["0.0000010", "0.0100000"]),
    "all of them tiny": ([1e-6, 2.5e-5], ["1.000e-06", "2.500e-05"]),
    "nothing to count": ([0.0, float("nan")], ["0.000", "nan"]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_values_that_stand_together(name):
    numbers, texts = NUMBERS[name]
    assert words.values(numbers, "mae") == texts


def test_a_title_says_where_its_axis_begins(regression, tmp_path):
    """The losses are 30 to 33, so that zero is not on the axis."""
    found = drawn(tmp_path, regression, history={"mae": [33.0, 31.0, 30.0]})
    (start,) = [
        re.search(r"axis from ([\d.]+)\)", text)
        for text in found.data
        if "axis" in text
    ]
    assert 29.0 < float(start[1]) <= 30.0


def test_a_frontier_that_nothing_meets(regression, tmp_path):
    found = drawn(tmp_path, regression, frontier=POINTS[2:])
    assert "None is within the goal" in found.pictures[0]


@pytest.mark.parametrize("size", [0.0, 1.5, float("nan")])
def test_points_are_shares(size):
    with pytest.raises(ValueError, match="`size` to be a share"):
        Point("x", size, 0.5, True)


def test_nothing_half_written_is_left(regression, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("as before")
    with pytest.raises(ValueError, match="`history`"):
        page.write(path, regression[1], regression[0], history={"loss": []})
    broken = tf_admm.DeploymentReport([*regression[0].variants], {}, None, {})
    with pytest.raises(AttributeError):
        page.write(path, regression[1], broken)
    assert os.listdir(tmp_path) == ["page.html"] and path.read_text() == "as before"
    drawn(tmp_path, regression)
    assert os.listdir(tmp_path) == ["page.html"] and path.read_text() != "as before"


BAD = {
    "a kind of history": ({"history": 3}, TypeError, "`history` to be a `keras"),
    "no file": ({"history": "no.csv"}, ValueError, "CSV that can be read"),
    "no columns": ({"history": {"loss": "abc"}}, ValueError, "columns of numbers"),
    "no page": ({"history": {"loss": [1.0]}, "html": None}, ValueError, "`html`"),
    "a kind of max_drop": ({"max_drop": "1"}, TypeError, "`max_drop` to be a number"),
    "a max_drop": ({"max_drop": -1}, ValueError, "`max_drop` to be 0.0 or more"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name, tmp_path):
    """Before any work: even the model is not looked at."""
    options, error, message = BAD[name]
    with pytest.raises(error, match=message):
        tf_admm.report(None, **({"html": tmp_path / "page.html"} | options))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_without_the_libraries(library, tmp_path, monkeypatch):
    """One that is missing is named, and how it is had, before any work."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=r"pip install tf_admm\[report\].*" + library):
        tf_admm.report(None, html=tmp_path / "page.html")
    assert os.listdir(tmp_path) == []


@test_layering.each_file
def test_the_libraries_are_imported_for_a_page_alone(file):
    tree = ast.parse(file.read_text())
    found = {name.split(".")[0] for _, name in test_layering.at_module_level(tree)}
    assert not found & {"jinja2", "matplotlib"}
