"""What a model takes and gives: names and shapes, and the nests they are in."""

import dataclasses
from typing import Any

import keras


@dataclasses.dataclass(frozen=True)
class Spec:
    """Inputs and outputs, as far as they are known.

    Attributes:
        inputs, outputs: dict from names to shapes, batch first, `None` where open;
            empty for a subclassed model, of which nothing is known.
        input_nest, output_nest: the structures they are in, with anything as leaves.
    """

    inputs: dict
    outputs: dict
    input_nest: Any = None
    output_nest: Any = None

    @property
    def classes(self):
        """Size of the last axis of the only output; `None` if there are several."""
        if len(self.outputs) != 1:
            return None
        (shape,) = self.outputs.values()
        return shape[-1]

    def packed_inputs(self, arrays):
        """A list of arrays in the structure of the inputs."""
        return keras.tree.pack_sequence_as(self.input_nest, arrays)

    def packed_outputs(self, arrays):
        """A list of arrays in the structure of the outputs."""
        return keras.tree.pack_sequence_as(self.output_nest, arrays)


def of_model(model):
    """The `Spec` of a Keras model."""
    # Only functional and sequential models have `inputs`.
    if not getattr(model, "inputs", None):
        return Spec({}, {}, 0, 0)
    sequential = isinstance(model, keras.Sequential)
    inputs = model.inputs[0] if sequential else model.input
    outputs = model.outputs[0] if sequential else model.output
    names = ["y"] if sequential else model.output_names
    return Spec(
        _shapes(inputs, [x.name for x in keras.tree.flatten(inputs)]),
        _shapes(outputs, names),
        keras.tree.map_structure(lambda _: 0, inputs),
        keras.tree.map_structure(lambda _: 0, outputs),
    )


def _shapes(nest, names):
    """Shapes by the keys of a dict, or else by the names of the tensors."""
    shapes = {}
    for (path, leaf), name in zip(keras.tree.flatten_with_path(nest), names):
        keyed = path and isinstance(path[-1], str)
        shapes[path[-1] if keyed else name] = tuple(leaf.shape)
    return shapes


def of_details(inputs, outputs):
    """The `Spec` of a TFLite file, of the details of its signature by name."""
    return Spec(
        {name: _open(detail["shape_signature"]) for name, detail in inputs.items()},
        {name: _open(detail["shape_signature"]) for name, detail in outputs.items()},
        dict.fromkeys(inputs, 0) if len(inputs) > 1 else 0,
        dict.fromkeys(outputs, 0) if len(outputs) > 1 else 0,
    )


def _open(shape):
    return tuple(None if size < 0 else int(size) for size in shape)
