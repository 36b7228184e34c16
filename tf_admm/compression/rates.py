"""The learning rate that training begins with."""

import keras
import numpy as np

from tf_admm.admm.optimizer import rate_of

#: Steps that a schedule is asked about, where it was never used.
ASKED = (0, *(2**k for k in range(18)))


def first(optimizer):
    """The rate of an optimizer; of a schedule, the highest that it has had.

    A schedule that has ended stands at its last rate, which is often 0.0, and one that
    warms up begins there.

    Raises:
        ValueError: if it is 0.0.
    """
    schedule = _schedule(optimizer.get_config())
    if schedule is None:
        rate = rate_of(optimizer)
    else:
        done = int(optimizer.iterations)
        steps = np.linspace(0, done, 65).astype(int) if done else ASKED
        rate = max(float(schedule(step)) for step in steps)
    if not rate > 0.0:
        raise ValueError(
            "Expected an optimizer with a learning rate above 0.0, from which training "
            f"begins. Received: {type(optimizer).__name__} with {rate}. Compile the "
            "model with another"
        )
    return rate


def _schedule(config):
    """The schedule in a config, or in that of an inner optimizer, or `None`."""
    found = config.get("learning_rate")
    if isinstance(found, dict):
        try:
            return keras.optimizers.schedules.deserialize(found)
        except (TypeError, ValueError):
            # One of the user's own, of which Keras knows no name.
            return None
    inner = [entry for entry in config.values() if isinstance(entry, dict)]
    return next(filter(None, map(_schedule, inner)), None)
