"""How docstrings are read for the reference, for mkdocstrings."""

import re

import griffe

#: The lines of a doctest, up to the next empty one.
DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


class Examples(griffe.Extension):
    """Doctests are shown as code, wherever they stand."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            fenced = DOCTEST.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
            obj.docstring.value = fenced
