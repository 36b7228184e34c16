"""What was gained, at what cost, which file to ship and why: in two sentences."""

from tf_admm.reporting import words

UNMEASURED = "no metric was measured"


def headline(report):
    """The sentences for a `DeploymentReport`."""
    dense, chosen = report.variants[0], report.choice()
    if chosen is dense:
        return f"{_ship(report, chosen)}. {_why_dense(report)}"
    return f"{_ship(report, chosen, _gain(dense, chosen))}. {_why(report)}"


def _ship(report, variant, gain=""):
    text = f"Ship '{variant.name}': {variant.bytes:,} bytes{gain}"
    if variant.metric is None:
        return text
    pair = [variant.metric, report.variants[0].metric]
    mine, dense = words.values(pair, report.metric)
    text += f"; {report.metric} {mine}"
    if variant is report.variants[0]:
        return text
    return f"{text}, the same" if mine == dense else f"{text} against {dense}"


def _gain(dense, chosen):
    smaller = words.less(dense.bytes / chosen.bytes, "smaller", "larger", "as large")
    joint = "but" if chosen.speedup <= 0.95 else "and"
    return (
        f", {smaller} than the {dense.name} file {joint} "
        f"{words.faster(chosen.speedup)} on one thread"
    )


def _why(report):
    if report.metric is None:
        return f"It is the smallest file with float weights; {UNMEASURED}."
    return (
        f"It is the smallest {_kind(report)} whose {report.metric} is "
        f"{_beside(report)}."
    )


def _why_dense(report):
    dense = report.variants[0]
    others = [other for other in report.variants[1:] if other.is_candidate]
    if not others:
        return "It is the only file that could be made."
    if all(other.bytes >= dense.bytes for other in others):
        return "No other file is smaller."
    if report.metric is None:
        return f"No smaller file has float weights; {UNMEASURED}."
    return (
        f"There is no smaller {_kind(report)} whose {report.metric} is "
        f"{_tolerance(report)} of this one."
    )


def _kind(report):
    if not report.least_speed:
        return "file"
    return f"file that is at least {report.least_speed:g} times as fast and"


def _tolerance(report, lost=0.0):
    return words.tolerance(report.max_drop - lost, report.metric, report.better)


def _beside(report):
    if not report.lost:
        return f"{_tolerance(report)} of the dense one"
    return f"{_tolerance(report, report.lost)} of the pruned model in float32"
