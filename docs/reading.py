"""How docstrings are read for the reference, for mkdocstrings."""

import griffe


class Examples(griffe.Extension):
    """`Example:` of Keras' docstrings is a section of examples, as `Examples:` is."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace(
                "\nExample:\n", "\nExamples:\n"
            )
