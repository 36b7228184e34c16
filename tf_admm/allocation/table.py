"""A constraint for each kernel, as a file."""

import keras

from tf_admm import files
from tf_admm.constraints import SetConstraint

#: Of the names under which Keras knows the constraints of this package.
PREFIX = "tf_admm>"


class Allocation(dict):
    """A constraint for each kernel, by path: what `ADMMModel` takes.

    Edit it as a dict, or in the JSON file that `save` writes and `load` reads,
    `{"fc1/kernel": {"Sparsity": {"sparsity": 0.9}}, ...}`. Keys may be all that
    `ADMMModel` takes, and `null` excludes. Kernels under one key share its
    constraint.
    """

    def save(self, path):
        """Write it as JSON.

        Raises:
            ValueError: if an entry is a function, or one object stands under several
                keys, since a file can say neither; put the latter under one regular
                expression.
        """
        objects = [id(value) for value in self.values() if value is not None]
        if len(set(objects)) < len(objects):
            raise ValueError(
                "Expected a constraint of its own under each key. Received: one that "
                f"several share, in {dict(self)}. Put their names into one key, as in "
                "'fc1|fc2'."
            )
        files.save_json({key: _described(value) for key, value in self.items()}, path)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Raises:
            ValueError: if it is no JSON object, or an entry is no constraint.
        """
        record = files.load_json(path)
        if not isinstance(record, dict):
            raise ValueError(
                f"Expected a constraint for each key in {path}. Received: {record}"
            )
        return cls({key: _constraint(key, value) for key, value in record.items()})


def _described(value):
    """A constraint as its name and arguments, down to plain JSON."""
    if callable(value) and not isinstance(value, SetConstraint):
        raise ValueError(
            f"Expected constraints, which JSON can hold. Received: {value}"
        )
    if not isinstance(value, SetConstraint):
        return value
    name = keras.saving.get_registered_name(type(value)).removeprefix(PREFIX)
    return {name: {key: _described(v) for key, v in value.arguments().items()}}


def _constraint(key, description):
    if description is None:
        return None
    try:
        constraint = _built(description)
    except (AttributeError, TypeError, ValueError) as error:
        constraint, problem = None, f" ({error})"
    else:
        problem = ""
    if not isinstance(constraint, SetConstraint):
        raise ValueError(
            f"Expected the entry of {key!r} to be null, or the name of a constraint "
            'with its arguments, such as {"Sparsity": {"sparsity": 0.9}}. Received: '
            f"{description}{problem}"
        )
    return constraint


def _built(value):
    """The inverse of `_described`."""
    if not isinstance(value, dict):
        return value
    if "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    ((name, arguments),) = value.items()
    cls = keras.saving.get_registered_object(name if ">" in name else PREFIX + name)
    if cls is None:
        raise ValueError(f"there is no constraint of the name {name!r}")
    return cls(**{key: _built(argument) for key, argument in arguments.items()})
