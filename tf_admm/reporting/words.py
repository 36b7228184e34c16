"""Numbers and comparisons as a reader has them."""


def value(number, metric):
    """A value of a metric: `"99.24 %"` of an accuracy, `"0.01234"` of another."""
    if number is None:
        return "-"
    return f"{100 * number:.2f} %" if is_share(metric) else f"{number:.4g}"


def milliseconds(number):
    """`"12.345"`, `"0.00151"`: three digits at the least."""
    return f"{number:.3f}" if number >= 1 else f"{number:#.3g}"


def is_share(metric):
    """Whether values of a metric are read as per cent."""
    return (metric or "").endswith(("acc", "accuracy"))


def change(number, dense, metric, best):
    """How far a metric is from the dense file's, signed."""
    if value(number, metric) == value(dense, metric):
        return "the same"
    if is_share(metric):
        return f"{100 * (number - dense):+.2f} points"
    if best == "max" or not dense:
        return f"{number - dense:+.3g}"
    return f"{100 * (number / dense - 1):+.2g} %"


def tolerance(max_drop, metric, best):
    """What a file may lose, as `"at most 0.5 points below that"`."""
    if best == "min":
        return f"at most {100 * max_drop:.3g} % above that"
    if best is None:
        return f"within {100 * max_drop:.3g} % of that"
    if is_share(metric):
        return f"at most {100 * max_drop:.3g} points below that"
    return f"at most {max_drop:.3g} below that"


def answer(meets, why):
    """Whether something is good enough, and why not where that isn't plain."""
    return "yes" if meets else f"no: {why}" if why else "no"


def less(ratio, adjective, opposite, same):
    """`"46 times smaller"`, `"12 % smaller"`, `"as large"`, `"3.1 times larger"`."""
    if abs(ratio - 1) < 0.005:
        return same
    if ratio < 1:
        return f"{_times(1 / ratio)} times {opposite}"
    if ratio >= 1.95:
        return f"{_times(ratio)} times {adjective}"
    return f"{100 * (1 - 1 / ratio):.0f} % {adjective}"


def faster(ratio):
    """`"4.7 times faster"`, `"about as fast"`, `"1.3 times slower"`."""
    if 0.95 < ratio < 1.05:
        return "about as fast"
    if ratio > 1:
        return f"{_times(ratio)} times faster"
    return f"{_times(1 / ratio)} times slower"


def _times(ratio):
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.1f}"
