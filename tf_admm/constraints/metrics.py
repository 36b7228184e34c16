"""What a weight is worth: the norm in which a mask is the nearest.

    argmin_{z in S} sum_j s_j (v_j - z_j)^2,

with s_j = 1 for `"magnitude"`, the paper's norm, and s_j = f_j for `"curvature"`, an
estimate of the squared gradient of the task's loss: s_j v_j^2 is then about what the
loss gains where v_j is taken out. A member is v itself on its mask, so the nearest mask
holds the largest `v_j sqrt(s_j)`, exactly: single weights, blocks, filters or groups.

References: LeCun et al., 1990, Optimal Brain Damage; Theis et al., 2018,
arXiv:1801.05787 (the squared gradient for the second derivative).
"""

import keras
from keras import ops

METRICS = {"magnitude": None, "curvature": lambda v, f: f}


def get(metric):
    """A name of `METRICS`, or a function `(v, f) -> s`, from one or its config.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(metric, dict):
        metric = keras.saving.deserialize_keras_object(metric)
    if not callable(metric) and metric not in list(METRICS):
        raise ValueError(
            f"Invalid value for argument `metric`. Expected one of {list(METRICS)}, or "
            f"a function of v and f. Received: metric={metric!r}"
        )
    return metric


def config(metric):
    """What it adds to the config of a set; nothing where it is the paper's."""
    if metric == "magnitude":
        return {}
    if callable(metric):
        return {"metric": keras.saving.serialize_keras_object(metric)}
    return {"metric": metric}


def weigh(metric, v, f):
    """`v sqrt(s)`.

    Args:
        metric: as `get` returns it.
        v: float tensor, w + u.
        f: tensor of its shape, the mean squared gradient of the task.
    """
    weights = metric if callable(metric) else METRICS[metric]
    return v if weights is None else v * ops.sqrt(weights(v, f))
