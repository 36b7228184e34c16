"""Results that print as their table, wherever they are printed."""

import io

from rich.console import Console


class Printed:
    """Base of results: implement `__rich__`, and `repr` and notebooks show it."""

    def __rich__(self):
        raise NotImplementedError(f"{type(self).__name__} must implement `__rich__`.")

    def __repr__(self):
        console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
        console.print(self)
        return console.file.getvalue().rstrip()

    def _repr_html_(self):
        console = Console(file=io.StringIO(), width=WIDTH, record=True)
        console.print(self)
        return console.export_html(inline_styles=True, code_format=HTML)


#: Columns of a table that is no terminal's.
WIDTH = 120
HTML = "<pre style='line-height:normal'><code>{code}</code></pre>"


def shown(result, verbose):
    """The result, printed unless `verbose` is 0."""
    if verbose:
        Console().print(result)
    return result
