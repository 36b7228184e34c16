"""The four numbers at the top of the page, dense against chosen."""

import dataclasses

from tf_admm.reporting import words

#: How a metric is read.
READ = {"max": "; more is better", "min": "; less is better", None: ""}


@dataclasses.dataclass(frozen=True)
class Card:
    """A title, what changed, and from what to what."""

    title: str
    change: str
    detail: str


def cards(report):
    """Bytes, speed, metric and multiplications of the chosen file."""
    dense, chosen = report.variants[0], report.choice()
    before, after = words.milliseconds([dense.milliseconds, chosen.milliseconds])
    return [
        Card(
            "size of the file",
            words.less(dense.bytes / chosen.bytes, "smaller", "larger", "as large"),
            f"{dense.bytes:,} \u2192 {chosen.bytes:,} bytes",
        ),
        Card(
            "speed",
            words.faster(chosen.speedup),
            f"{before} \u2192 {after} ms for one sample, one thread",
        ),
        _metric(report, dense, chosen),
        _multiplications(dense, chosen),
    ]


def _metric(report, dense, chosen):
    if report.metric is None:
        return Card("metric", "not measured", "no data was given to measure one on")
    values = words.values([dense.metric, chosen.metric], report.metric)
    return Card(
        report.metric,
        words.change(chosen.metric, dense.metric, report.metric, report.better),
        " \u2192 ".join(values) + READ[report.better],
    )


def _multiplications(dense, chosen):
    title = "multiplications"
    if dense.macs is None:
        return Card(title, "not known", "the model leaves sizes open")
    ratio = dense.macs / max(chosen.macs, 1)
    return Card(
        title,
        words.less(ratio, "fewer", "more", "as many"),
        f"{dense.macs:,} \u2192 {chosen.macs:,} for one sample, {chosen.macs_left:,} "
        "of them by weights that are not zero",
    )
