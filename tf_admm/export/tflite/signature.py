"""Inputs and outputs of a model: their names in the file, samples of them."""

import re

import keras
import numpy as np

from tf_admm import arguments
from tf_admm.structure.tracing import named_inputs

#: Size of the random samples along dimensions that the model leaves open.
OPEN_SIZE = 32
#: Number of random samples; two batches if the model has a batch size.
ROWS = 4


class Signature:
    """The inputs of a model, flat.

    Attributes:
        structure: the nest of inputs that the model is called on.
        shapes: a shape for each input, batch first, None where it is open.
        dtypes: a dtype for each input.
        names: a name for each input, those of the model's inputs where its
            author gave them; unique, and legal for TFLite.
        batch: the batch size that the model insists on, or None.
    """

    def __init__(self, model, samples=None):
        self._by_samples = samples is not None and not getattr(model, "inputs", None)
        self.structure = _structure(model, samples)
        leaves = keras.tree.flatten(self.structure)
        self.shapes = [tuple(leaf.shape) for leaf in leaves]
        self.dtypes = [keras.backend.standardize_dtype(leaf.dtype) for leaf in leaves]
        self.names = _names(self.structure, "input")
        self.batch = self.shapes[0][0]
        for name, dtype in zip(self.names, self.dtypes):
            if not _is_number(dtype):
                raise ValueError(
                    "Expected the inputs of the model to be numbers. Received: "
                    f"input {name!r} of dtype {dtype!r}. Of a model that takes text, "
                    "give the part behind its TextVectorization, and what comes out of "
                    "that as data."
                )

    def pack(self, flat):
        """The model's own structure of a flat list of inputs."""
        return keras.tree.pack_sequence_as(self.structure, flat)

    def example(self):
        """Inputs for another process to make this of; `None` if the model will do."""
        if not self._by_samples:
            return None
        shapes = [(1, *shape[1:]) for shape in self.shapes]
        return self.pack([np.zeros(s, d) for s, d in zip(shapes, self.dtypes)])

    def match(self, inputs):
        """A flat list of arrays, of inputs as Keras gives them to the model.

        Dicts are read by the keys or names of the model's inputs, and axes of size 1
        that are missing at the end are added, as functional models do.
        """
        if isinstance(inputs, dict):
            keys = self.structure
            if not isinstance(keys, dict):
                keys = [leaf.name for leaf in keras.tree.flatten(keys)]
            # The order in which trees are flattened is that of sorted keys.
            inputs = [
                inputs[k] for k in (sorted(keys) if keys is self.structure else keys)
            ]
        arrays = [arguments.array(leaf) for leaf in keras.tree.flatten(inputs)]
        return [
            np.reshape(x, x.shape + (1,) * (len(shape) - x.ndim)).astype(dtype)
            for x, shape, dtype in zip(arrays, self.shapes, self.dtypes, strict=True)
        ]

    def random(self):
        """Random inputs: standard normal, and 0 or 1 for integers."""
        rng = np.random.default_rng(0)
        rows = 2 * self.batch if self.batch else ROWS
        return [
            _random(rng, shape, dtype, rows)
            for shape, dtype in zip(self.shapes, self.dtypes)
        ]

    def flatten(self, samples, argument="samples"):
        """A list of arrays, one for each input.

        Args:
            samples: arrays in the structure of the inputs.
            argument: what errors call it.

        Raises:
            ValueError: if `samples` doesn't have the structure of the inputs,
                or not their shapes, or not as many rows in each.
        """
        if keras.tree.is_nested(samples):
            self._check_structure(samples, argument)
        arrays = [arguments.array(leaf) for leaf in keras.tree.flatten(samples)]
        if len(arrays) != len(self.shapes) or not all(
            _fits(array.shape, shape) for array, shape in zip(arrays, self.shapes)
        ):
            received = [array.shape for array in arrays]
            raise ValueError(
                f"Expected `{argument}` to be arrays of the shapes "
                f"{dict(zip(self.names, self.shapes))}. Received: arrays of "
                f"the shapes {received}"
            )
        rows = {len(array) for array in arrays}
        if len(rows) > 1 or 0 in rows or max(rows) % (self.batch or 1):
            raise ValueError(
                f"Expected `{argument}` to have the same number of rows for each "
                "input, at least one, and a multiple of the model's batch size "
                f"({self.batch}). Received: {sorted(rows)} rows"
            )
        return [a.astype(d) for a, d in zip(arrays, self.dtypes)]

    def _check_structure(self, samples, argument):
        try:
            keras.tree.assert_same_structure(
                keras.tree.lists_to_tuples(self.structure),
                keras.tree.lists_to_tuples(samples),
            )
        except (TypeError, ValueError) as error:
            structure = self.pack(self.names)
            raise ValueError(
                f"Expected `{argument}` to have the structure of the model's "
                f"inputs, {structure}. Received: {type(samples).__name__} "
                f"of {len(keras.tree.flatten(samples))} leaves"
            ) from error


def output_names(outputs):
    """A name for each output: keys of a dict, else `output_0`, ..."""
    return _names(outputs, "output")


def _structure(model, samples):
    if getattr(model, "inputs", None):
        return named_inputs(model)
    if samples is not None:
        return keras.tree.map_structure(_open_batch, samples)
    config = model.get_build_config() or {}
    if config.get("input_shape") is None:
        raise ValueError(
            f"Expected model {model.name!r} to be called on one structure of "
            "inputs whose shapes are known. Received: a subclassed model built "
            f"from {config}. Give `samples`, or wrap it in a functional model; of an "
            "`ADMMModel`, give its `.model`."
        )
    return keras.tree.map_shape_structure(_float_input, config["input_shape"])


def _open_batch(sample):
    array = arguments.array(sample)
    return keras.KerasTensor((None, *array.shape[1:]), dtype=array.dtype.name)


def _float_input(shape):
    return keras.KerasTensor((None, *shape[1:]), dtype=keras.config.floatx())


def _names(structure, prefix):
    names = [
        _name(path, leaf, prefix)
        for path, leaf in keras.tree.flatten_with_path(structure)
    ]
    # Compared without case: the converter's own rules change it.
    if len({name.lower() for name in names}) < len(names):
        return [f"{prefix}_{i}" for i in range(len(names))]
    return names


def _name(path, leaf, prefix):
    name = leaf.name if keras.backend.is_keras_tensor(leaf) else None
    # Names that Keras made up count the tensors of the process, and would make
    # the file depend on what was built before.
    if name is None or re.fullmatch(r"keras_tensor(_\d+)?", name):
        keys = path if path and isinstance(path[0], str) else (prefix, *path)
        name = "_".join(map(str, keys if len(keys) > 1 or path else (prefix, 0)))
    return re.sub(r"\W", "_", name)


def _is_number(dtype):
    return (
        keras.backend.is_float_dtype(dtype)
        or keras.backend.is_int_dtype(dtype)
        or dtype == "bool"
    )


def _random(rng, shape, dtype, rows):
    sizes = [OPEN_SIZE if size is None else size for size in shape[1:]]
    if keras.backend.is_float_dtype(dtype):
        return rng.standard_normal((rows, *sizes)).astype(dtype)
    return rng.integers(0, 2, (rows, *sizes)).astype(dtype)


def _fits(shape, wanted):
    return len(shape) == len(wanted) and all(
        want in (None, size) for size, want in zip(shape[1:], wanted[1:])
    )
