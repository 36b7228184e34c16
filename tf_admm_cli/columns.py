"""Tables: a CSV file of numbers, and a column of labels."""

import csv

import numpy as np

from tf_admm_cli import fitting
from tf_admm_cli import problems
from tf_admm_cli import quiet
from tf_admm_cli.problems import BadInput

SEPARATORS = ",;\t"


def load(path, reading):
    """The training part of a CSV file, and what its class numbers stand for.

    The first line is a header if a column other than the labels' has no number there,
    or if that of the labels alone has none there. Labels that are text become the
    numbers of their classes in sorted order.
    """
    heads, rows = _read(path, reading)
    wanted = reading.spec.inputs and list(reading.spec.inputs.values())[0][-1]
    if not reading.labels and len(heads) == wanted:
        x = _features(rows, range(len(heads)), heads, reading.name)
        return {"train": fitting.fitted([x], None, None, reading)}, None
    target = _target(heads, reading)
    columns = [i for i in range(len(heads)) if i != target]
    x = _features(rows, columns, heads, reading.name)
    y, classes = _labels([row[target] for row in rows], reading)
    return {"train": fitting.fitted([x], [y], None, reading)}, classes


def _read(path, reading):
    """Names of the columns, and rows of text."""
    if len(reading.spec.inputs) > 1:
        raise BadInput(
            reading.name,
            f"Expected one input for a CSV file. Received: {path}, and "
            f"the inputs {', '.join(reading.spec.inputs)}; give a .npz file",
        )
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            line = file.readline()
            separator = max(SEPARATORS, key=line.count)
            file.seek(0)
            rows = [row for row in csv.reader(file, delimiter=separator) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(
            reading.name,
            f"Expected a CSV file. Received: {path} ({problems.last_line(error)})",
        ) from error
    _check_even(rows, path, reading.name)
    if _is_header(rows, reading.target):
        return rows[0], rows[1:]
    return [f"column {i + 1}" for i in range(len(rows[0]))], rows


def _check_even(rows, path, name):
    if len(rows) < 2 or len(rows[0]) < 2:
        raise BadInput(
            name,
            f"Expected rows of inputs and a label. Received: {path}, of "
            f"{len(rows)} lines",
        )
    odd = next((i for i, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if odd is not None:
        raise BadInput(
            name,
            f"Expected {len(rows[0])} columns everywhere. Received: "
            f"{len(rows[odd])} in row {odd + 1} of {path}",
        )


def _is_header(rows, target):
    """Whether the first line names the columns, some of them by more than a number."""
    row, *others = rows
    if target in row or not all(_is_number(cell) for cell in row[:-1]):
        return True
    return not _is_number(row[-1]) and all(_is_number(other[-1]) for other in others)


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return not cell.strip()
    return True


def _target(heads, reading):
    if reading.target is None:
        return len(heads) - 1
    if reading.target not in heads:
        raise BadInput(
            "--target",
            f"Expected one of {', '.join(heads)}. Received: {reading.target}",
        )
    return heads.index(reading.target)


def _features(rows, columns, heads, name):
    """The columns as float32."""
    for i, row in enumerate(rows):
        bad = next((j for j in columns if not _is_number(row[j])), None)
        if bad is not None:
            raise BadInput(
                name,
                "Expected numbers in every column but that of the labels. Received: "
                f"{row[bad]!r} in {heads[bad]}, row {i + 1}{_hint(row[bad])}",
            )
        empty = next((j for j in columns if not row[j].strip()), None)
        if empty is not None:
            raise BadInput(
                name,
                "Expected no empty cells. Received: one in "
                f"{heads[empty]}, row {i + 1}",
            )
    return np.array([[row[j] for j in columns] for row in rows], "float32")


def _hint(cell):
    return "; decimals have a point" if _is_number(cell.replace(",", ".", 1)) else ""


def _labels(cells, reading):
    """Labels as an array, and the classes if they are text."""
    if reading.classes is None and all(_is_number(cell) for cell in cells):
        y = np.array([cell.strip() or "nan" for cell in cells], "float64")
        whole = np.isfinite(y).all() and np.all(y == np.round(y))
        return y.astype("int64" if whole else "float32"), None
    _check_text(cells, reading)
    classes = reading.classes or sorted(set(cells))
    unknown = sorted(set(cells) - set(classes))
    if unknown:
        raise BadInput(
            reading.name,
            f"Expected the labels {', '.join(classes)}. Received: {unknown[0]}",
        )
    if reading.classes is None:
        shown = ", ".join(f"{name} = {i}" for i, name in enumerate(classes[:12]))
        quiet.note(f"the labels are text; as class numbers: {shown}")
    numbers = {name: i for i, name in enumerate(classes)}
    return np.array([numbers[cell] for cell in cells]), classes


def _check_text(cells, reading):
    """Raise if the labels of a model of one output are numbers, but for some."""
    text = [i for i, cell in enumerate(cells) if not _is_number(cell)]
    if text and len(text) < len(cells) and reading.spec.classes == 1:
        raise BadInput(
            reading.name,
            "Expected a number as the label of each row, or text of each. Received: "
            f"{cells[text[0]]!r} in row {text[0] + 1}",
        )
