"""Which file to ship, and the sentences that say so."""

import dataclasses

import keras
import numpy as np
import pytest
from pages import INT8
from pages import SPARSE
from pages import WORSE
from pages import L
from pages import X
from pages import Y
from pages import reported
from pages import small

import tf_admm
from tf_admm.compression.report import ASIDE
from tf_admm.reporting import direction
from tf_admm.reporting.judging import Judge

#: Files beside the dense one, what else the report has, which is chosen, and the words.
HEADLINES = {
    "slower": (
        [SPARSE, INT8, WORSE],
        {},
        "Ship 'int8': 125 bytes, 8.0 times smaller than the dense float32 file but 2.0 "
        "times slower on one thread; mae 0.5020 against 0.5000. It is the smallest "
        "file whose mae is at most 0.5 % above that of the dense one.",
    ),
    "more may be lost": (
        [SPARSE, INT8, WORSE],
        {"max_drop": 0.2},
        "Ship 'shrunk int8': 50 bytes, 20 times smaller than the dense float32 file "
        "and 10 times faster on one thread; mae 0.6000 against 0.5000. It is the "
        "smallest file whose mae is at most 20 % above that of the dense one.",
    ),
    "nothing may be lost": (
        [SPARSE, INT8],
        {"max_drop": 0.0},
        "Ship 'sparse float32': 250 bytes, 4.0 times smaller than the dense float32 "
        "file and 2.0 times faster on one thread; mae 0.5000, the same. It is the "
        "smallest file whose mae is at most 0 % above that of the dense one.",
    ),
    "more is better": (
        [SPARSE, INT8, WORSE],
        {"metric": "auc", "better": "max"},
        "Ship 'shrunk int8': 50 bytes, 20 times smaller than the dense float32 file "
        "and 10 times faster on one thread; auc 0.6000 against 0.5000. It is the "
        "smallest file whose auc is at most 0.005 below that of the dense one.",
    ),
    "an accuracy": (
        [dataclasses.replace(SPARSE, metric=0.4951)],
        {"metric": "accuracy", "better": "max"},
        "Ship 'sparse float32': 250 bytes, 4.0 times smaller than the dense float32 "
        "file and 2.0 times faster on one thread; accuracy 49.51 % against 50.00 %. It "
        "is the smallest file whose accuracy is at most 0.5 points below that of the "
        "dense one.",
    ),
    "one point": (
        [dataclasses.replace(SPARSE, metric=0.4951)],
        {"metric": "accuracy", "better": "max", "max_drop": 0.01},
        "Ship 'sparse float32': 250 bytes, 4.0 times smaller than the dense float32 "
        "file and 2.0 times faster on one thread; accuracy 49.51 % against 50.00 %. It "
        "is the smallest file whose accuracy is at most 1 point below that of the "
        "dense one.",
    ),
    "who knows": (
        [SPARSE, INT8, WORSE],
        {"metric": "mine", "better": None},
        "Ship 'int8': 125 bytes, 8.0 times smaller than the dense float32 file but 2.0 "
        "times slower on one thread; mine 0.5020 against 0.5000. It is the smallest "
        "file whose mine is within 0.5 % of that of the dense one.",
    ),
    "as fast as asked": (
        [SPARSE, INT8],
        {"least_speed": 1.5},
        "Ship 'sparse float32': 250 bytes, 4.0 times smaller than the dense float32 "
        "file and 2.0 times faster on one thread; mae 0.5000, the same. It is the "
        "smallest file that is at least 1.5 times as fast and whose mae is at most "
        "0.5 % above that of the dense one.",
    ),
    "one file": (
        [],
        {},
        "Ship 'dense float32': 1,000 bytes; mae 0.5000. It is the only file that could "
        "be made.",
    ),
    "no gain": (
        [dataclasses.replace(SPARSE, bytes=1000)],
        {},
        "Ship 'dense float32': 1,000 bytes; mae 0.5000. No other file is smaller.",
    ),
    "too bad": (
        [WORSE],
        {},
        "Ship 'dense float32': 1,000 bytes; mae 0.5000. There is no smaller file whose "
        "mae is at most 0.5 % above that of this one.",
    ),
    "no number": (
        [dataclasses.replace(SPARSE, metric=float("nan"))],
        {},
        "Ship 'dense float32': 1,000 bytes; mae 0.5000. There is no smaller file whose "
        "mae is at most 0.5 % above that of this one.",
    ),
    "a little": (
        [dataclasses.replace(SPARSE, bytes=900, speedup=1.01)],
        {},
        "Ship 'sparse float32': 900 bytes, 10 % smaller than the dense float32 file "
        "and about as fast on one thread; mae 0.5000, the same. It is the smallest "
        "file whose mae is at most 0.5 % above that of the dense one.",
    ),
}


@pytest.mark.parametrize("name", HEADLINES)
def test_headlines(name):
    others, options, text = HEADLINES[name]
    report = reported(small(), *others, **options)
    assert report.headline == text
    printed = " ".join(repr(report).split())
    assert f"* {text}" in printed and f"{report.choice().name} * " in printed


STAGE = {"noun": "weights", "share": 0.25, "why": "", "left": 0.9, "minutes": 0.1}
NOTHING = "Nothing was pruned (max_drop=0.01): no smaller network "
#: Stages, whether data were set aside, and the words before "Ship".
COMPRESSED = {
    "counted, not aimed at": (
        [STAGE | {"metric": 0.5, "meets": True}],
        True,
        "10 % fewer weights (max_drop=0.01).",
    ),
    "data of their own": (
        2 * [STAGE | {"metric": 0.6, "meets": False}],
        False,
        f"{NOTHING}is good enough (2 tried). The file is the dense network's, as int8.",
    ),
    "data set aside": (
        [STAGE | {"metric": 0.6, "meets": False}],
        True,
        f"{NOTHING}is good enough (1 tried). {ASIDE} The file is the dense "
        "network's, as int8.",
    ),
    "none can be made": (
        [STAGE | {"metric": None, "meets": False}],
        True,
        f"{NOTHING}could be made. The file is the dense network's, as int8.",
    ),
    "no time": (
        [],
        True,
        f"{NOTHING}was finished within the time limit. The file is the dense "
        "network's, as int8.",
    ),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_headlines_of_compress(name):
    stages, is_aside, text = COMPRESSED[name]
    deployment = reported(small(), dataclasses.replace(INT8, name="dense int8"))
    left = {"weights": 0.9, "multiplications": 1.0}
    report = tf_admm.CompressionReport(
        "max_drop=0.01", "mae", 0.5, "weights", left, stages, deployment, {}, None, 1.0,
        is_aside,
    )  # fmt: skip
    assert report.headline == f"{text} {deployment.headline}"
    assert "Ship 'dense int8'" in report.headline
    printed = " ".join(repr(report).split())
    assert text in printed
    # Aimed at, and counted.
    assert printed.count("weights: 4x fewer ") == len(stages)
    assert ("90.00 %" in printed) == any(stage["metric"] for stage in stages)


def test_what_is_there_to_compare_with_is_not_shipped():
    beside = dataclasses.replace(INT8, name="dense int8", is_candidate=False)
    assert reported(small(), beside, SPARSE).choice() is SPARSE
    report = reported(small(), beside, dataclasses.replace(SPARSE, bytes=1000))
    assert "No other file is smaller." in report.headline


def test_which_way_of_the_metric_is_better():
    """As Keras has it; of the accuracy that is measured by default, more."""
    model = small()
    assert Judge(model, (X, Y), None).better == "min"
    assert Judge(model, (X, Y), keras.metrics.R2Score()).better == "max"
    assert Judge(model, (X, Y), lambda y, outputs: 0.5).better is None
    classes = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    assert Judge(classes, (X, np.arange(24) % 3), None).better == "max"


def test_which_way_of_a_metric_of_one_output_is_better():
    inputs = keras.Input((4,))
    outputs = {"kind": L.Dense(3)(inputs), "size": L.Dense(1)(inputs)}
    model = keras.Model(inputs, outputs)
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    metrics = {"kind": ["accuracy"], "size": ["mae", lambda y, x: x[0, 0]]}
    model.compile("sgd", losses, metrics=metrics)
    y = {"kind": np.arange(24) % 3, "size": np.zeros(24)}
    names = model.evaluate(X, y, verbose=0, return_dict=True)
    found = {name: direction.better(model, name) for name in names}
    custom = {name for name in names if "lambda" in name}
    assert custom and all(found.pop(name) is None for name in custom)
    assert found.pop("kind_accuracy") == "max"
    assert found.keys() >= {"loss", "size_mae"} and set(found.values()) == {"min"}
