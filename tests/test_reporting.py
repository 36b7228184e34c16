"""The report: what it says is what is there."""

import os
import re

import keras
import numpy as np
import pytest
import test_shrinking
import test_tfmot
from pages import Page

import tf_admm
from tf_admm import export
from tf_admm.export.tflite.report import sparse_tensors
from tf_admm.reporting import variants
from tf_admm.structure import kernels
from tf_admm.structure import kinds

#: What a page must not hold, as it would be asked for.
ASKING = {"script", "link", "iframe", "img", "object", "embed", "base", "form"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report of a small LeNet, its model, its data and its page."""
    model = test_tfmot.sparse_lenet()
    x, y = test_tfmot.data()
    page = tmp_path_factory.mktemp("report") / "report.html"
    return tf_admm.report(model, (x, y), x[:32], html=page), model, (x, y), page


def variant(report, name):
    (found,) = [v for v in report.variants if v.name == name]
    return found


def test_bytes_are_those_of_the_files(made, tmp_path):
    report, model, _, _ = made
    small, _ = tf_admm.shrink(model)
    for name, what, options in (
        ("dense float32", model, {"sparse": False}),
        ("shrunk sparse float16", small, {"dtype": "float16"}),
    ):
        exported = export.to_tflite(what, tmp_path / "x.tflite", **options)
        assert variant(report, name).bytes == os.path.getsize(tmp_path / "x.tflite")
        assert variant(report, name).gzip_bytes == exported.gzip_bytes
    assert any("int8" in v.name for v in report.variants)


def test_multiplications(made):
    """LeNet with 6 and 8 filters of 5x5 and 20 units: by hand."""
    report, model, _, _ = made
    dense = variant(report, "dense float32")
    assert dense.macs == 24**2 * 25 * 6 + 8**2 * 25 * 6 * 8 + 128 * 20 + 20 * 4
    uses = (24**2, 8**2, 1, 1)
    kernels = [w for w in model.get_weights() if w.ndim > 1]
    expected = sum(n * np.count_nonzero(w) for n, w in zip(uses, kernels))
    assert dense.macs_left == variant(report, "sparse float16").macs_left == expected
    assert variant(report, "shrunk dense float32").macs <= dense.macs


def test_accuracy_is_that_of_keras(made):
    report, model, (x, y), _ = made
    expected = np.mean(np.argmax(model(x), axis=-1) == y)
    for name in ("dense float32", "sparse float32", "shrunk sparse float32"):
        assert variant(report, name).metric == pytest.approx(expected)
    assert all(0 <= v.metric <= 1 and v.milliseconds > 0 for v in report.variants)
    assert variant(report, "dense float32").speedup == 1.0


def test_prospects_name_each_kernel(made):
    report = made[0]
    assert [p.split(":")[0] for p in report.prospects.values()] == [
        "no", "no", "yes, as float32", "yes, as float32",
    ]  # fmt: skip


def test_prospects_of_what_may_be_fully_connected():
    inputs = keras.Input((6, 8))
    x = keras.layers.EinsumDense("abc,cd->abd", (6, 64), name="einsum")(inputs)
    x = keras.layers.LSTM(4, name="lstm")(x)
    model = keras.Model(inputs, x)
    found = {k.path: kinds.prospect(k) for k in kernels.find(model)}
    assert all("if the file runs it as" in text for text in found.values())


@pytest.mark.slow
def test_files_that_can_not_be_made(capsys):
    """Loops have no int8; the other files can be made all the same."""
    model = keras.Sequential(
        [keras.Input((3, 4)), keras.layers.SimpleRNN(4), keras.layers.Dense(3)]
    )
    report = tf_admm.report(model, representative=np.zeros((4, 3, 4)))
    # No sparse file of so few weights is smaller.
    dense = ["dense float32", "dense float16"]
    shrunk = [f"shrunk {name}" for name in dense]
    assert [v.name for v in report.variants] == dense + shrunk
    sparse = {"sparse float32", "shrunk sparse float32"}
    assert set(report.failed) == {"int8", "shrunk int8"} | sparse
    assert "loops" in report.failed["int8"]
    assert "int8:" in capsys.readouterr().out


def test_a_file_is_called_what_it_is(tmp_path):
    """Of a kernel without zeros no sparse file is smaller, of an emptied one it is."""
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])
    for kept, names in ((1.0, {"dense"}), (0.05, {"dense", "sparse"})):
        w = np.random.default_rng(0).normal(size=(64, 64))
        model.layers[0].kernel.assign(
            w * (np.random.default_rng(1).random(w.shape) < kept)
        )
        plans = variants.plans(model, None, None)
        files, failed = variants.written(plans, tmp_path, None)
        assert {v.name.split()[0] for v, _ in files} == names
        assert ("sparse float32" in failed) == (kept == 1.0)
        for v, _ in files:
            path = tmp_path / variants.file_name(v.name)
            assert os.path.getsize(path) == v.bytes
            stored = sparse_tensors(path.read_bytes())
            assert bool(stored) == v.name.startswith("sparse")


def test_the_page_is_self_contained(made):
    report, _, _, path = made
    found = Page(path)
    assert not ASKING & set(found.tags)
    assert all(a.startswith(("#", "data:image/png;base64,")) for a in found.addresses)
    assert "http" not in found.text and "@import" not in found.text
    assert len(found.pictures) == len(set(found.pictures)) == 2 + 4
    assert os.listdir(path.parent) == ["report.html"]
    for v in report.variants:
        assert f"{v.bytes:,}" in found.data


def test_what_is_referred_to_is_there_once(made):
    """Markers and clips of one picture are not those of another."""
    text = made[3].read_text()
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', text)) <= set(ids)


def test_the_headline_has_the_numbers_of_the_file_to_ship(made):
    report, _, _, path = made
    chosen, dense = report.choice(), report.variants[0]
    good = [v for v in report.variants if v.metric >= dense.metric - 0.005]
    assert chosen.bytes == min(v.bytes for v in good)
    assert report.headline in Page(path).data
    assert f"{chosen.bytes:,} bytes" in report.headline
    factor = re.search(r"([\d.]+) times smaller", report.headline)[1]
    assert float(factor) == pytest.approx(dense.bytes / chosen.bytes, rel=0.05)


def test_what_pictures_say_adds_up(made):
    """Bytes and multiplications by hand, as above."""
    report, model, _, path = made
    kernels = [w for w in model.get_weights() if w.ndim > 1]
    total, kept = (sum(4 * f(w) for w in kernels) for f in (np.size, np.count_nonzero))
    dense = report.variants[0]
    first, second = Page(path).pictures[:2]
    assert f"{total:,} in all, {kept:,} of them" in first
    assert f"{dense.macs:,} in all, {dense.macs_left:,} of them" in second


@pytest.mark.slow
def test_without_data_or_page(capsys):
    report = tf_admm.report(test_tfmot.sparse_lenet())
    assert all(v.metric is None for v in report.variants)
    assert not any("int8" in v.name for v in report.variants)
    assert "Prospects" in capsys.readouterr().out


def test_bad_input(tmp_path):
    model = test_shrinking.lenet()
    for path in (tmp_path / "no" / "report.html", tmp_path):
        with pytest.raises(ValueError, match="`html` to be a file that can be written"):
            tf_admm.report(model, html=path)
    x, y = test_tfmot.data()
    subclassed = test_shrinking.models.subclassed().model
    with pytest.raises(ValueError, match="functional or sequential"):
        tf_admm.report(subclassed)
    with pytest.raises(ValueError, match="`representative` to be arrays"):
        tf_admm.report(model, representative=test_tfmot.data()[0][:, 1:])
    assert os.listdir(tmp_path) == []
