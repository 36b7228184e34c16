"""Sparse, and then of few values on what is left."""

import keras
from keras import ops

from tf_admm.constraints.base import MaskConstraint
from tf_admm.constraints.base import SetConstraint
from tf_admm.constraints.base import ValueConstraint


@keras.saving.register_keras_serializable(package="tf_admm")
class Intersection(SetConstraint):
    """Zero outside of a pattern, and of few values within it.

    The projection takes the mask of `pattern`, and projects what is left by
    `values`. For `Sparsity` and `Levels` with one scale, or a single cluster,
    that is the nearest member; for other pairs, the nearest with that mask.
    Levels that hold no 0 keep every weight of the mask.

    Args:
        pattern: a constraint with a mask, such as `Sparsity(0.95)`.
        values: `Levels` or `Clusters`.

    Raises:
        ValueError: if `pattern` has no mask, or `values` is no set of values.

    Example:

    >>> both = tf_admm.constraints.Intersection(
    ...     tf_admm.constraints.Sparsity(0.5), tf_admm.constraints.Levels.binary()
    ... )
    >>> np.array(both(np.array([[1.0, -3.0, 2.0, 0.5]]))).tolist()
    [[0.0, -2.5, 2.5, 0.0]]

    Reference: ADMM-NN, Ren et al., 2019, arXiv:1812.11677.
    """

    def __init__(self, pattern: MaskConstraint, values: ValueConstraint):
        self.pattern = _of_kind("pattern", pattern, MaskConstraint)
        self.values = _of_kind("values", values, ValueConstraint)

    def check(self, shapes):
        self.pattern.check(shapes)
        self.values.check(shapes)

    @property
    def coupled(self):
        return self.pattern.coupled

    @property
    def metric(self):
        return self.pattern.metric

    def loosened(self, excess):
        return Intersection(self.pattern.loosened(excess), self.values)

    def admits(self, settled):
        return self.pattern.admits(settled)

    def settle(self, ws, worths=None):
        masks = self.pattern.masks(ws if worths is None else worths)
        return [self.values.codes(w, mask) for w, mask in zip(ws, masks)]

    def regrown(self, settled, gradients):
        return self.pattern.regrown(settled, gradients)

    def holds(self, ws, settled):
        parts = (of.holds(ws, settled) for of in (self.pattern, self.values))
        return ops.logical_and(*parts)

    def restrict(self, w, settled):
        return self.values.restrict(w, settled)

    def arguments(self):
        return {"pattern": self.pattern, "values": self.values}

    def get_config(self):
        return {
            "pattern": keras.saving.serialize_keras_object(self.pattern),
            "values": keras.saving.serialize_keras_object(self.values),
        }

    @classmethod
    def from_config(cls, config):
        load = keras.saving.deserialize_keras_object
        return cls(load(config["pattern"]), load(config["values"]))


def _of_kind(name, constraint, kind):
    if not isinstance(constraint, kind):
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a "
            f"`tf_admm.constraints.{kind.__name__}`. Received: {name}={constraint}"
        )
    return constraint
