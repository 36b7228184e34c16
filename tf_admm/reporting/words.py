"""Numbers and comparisons as a reader has them."""

import math

#: Decimals of a metric, at the most.
MOST = 7


def value(number, metric):
    """A value of a metric: `"99.24 %"` of an accuracy, `"0.01234"` of another."""
    return values([number], metric)[0]


def values(numbers, metric):
    """Values of a metric that stand together, with the same number of decimals.

    The smallest has four digits, unless that takes too many decimals.
    """
    if is_share(metric):
        return [_text(number, share) for number in numbers]
    sizes = [abs(x) for x in numbers if x and math.isfinite(x)]
    form = f".{min(_decimals(sizes, 4), MOST)}f"
    if sizes and max(sizes) < 1e-4:
        form = ".3e"
    return [_text(number, lambda x: f"{x:{form}}") for number in numbers]


def _text(number, form):
    return "-" if number is None else form(number)


def _decimals(sizes, digits):
    """Decimals with which the smallest of some positive numbers has so many digits."""
    power = math.floor(math.log10(min(sizes, default=1.0)))
    return max(digits - 1 - power, 0)


def milliseconds(numbers):
    """`["12.345", "0.151"]`: one number of decimals, three digits at the least."""
    decimals = max(_decimals([x for x in numbers if x > 0], 3), 3)
    return [f"{number:.{decimals}f}" for number in numbers]


def share(number):
    """`0.0625` -> `"6.25 %"`."""
    return f"{100 * number:.2f} %"


def is_share(metric):
    """Whether values of a metric are read as per cent."""
    return (metric or "").endswith(("acc", "accuracy"))


def change(number, dense, metric, best):
    """How far a metric is from the dense file's, signed."""
    if len(set(values([number, dense], metric))) == 1:
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
        points = f"{100 * max_drop:.3g}"
        return f"at most {points} point{'s' * (points != '1')} below that"
    return f"at most {max_drop:.3g} below that"


def answer(meets, why):
    """Whether something is within the goal, and why not where that isn't plain."""
    return "yes" if meets else f"no: {why}" if why else "no"


def times(share):
    """`1/3` -> `3x`, `1/1024` -> `1,024x`."""
    value = 1.0 / share
    return f"{value:,.0f}x" if value >= 100.0 else f"{value:.3g}x"


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
