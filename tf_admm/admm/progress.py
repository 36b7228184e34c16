"""How far a run has come."""

import keras
from keras import ops

from tf_admm.admm import updates

PHASES = DENSE, ADMM, RETRAINING = "dense", "admm", "retraining"
RESIDUALS = ("admm_primal", "admm_dual", "admm_primal_rel", "admm_dual_rel")
#: Keys of the logs that the progress bar leaves out.
UNSHOWN = ("admm_penalty", "admm_primal", "admm_dual", "admm_dual_rel")
#: W that is within so many times ||W|| of Z - U is there.
NEAR = 0.01
#: Variables of a run that files of release 1 lack.
LATER = ("changed", "rounds", "pulled", "walked")


class Progress:
    """Phase, rho, residuals and counters of a run, as variables of its model.

    Data, not attributes, so that one traced train step serves all phases, and a
    backup of the model holds them.

    Args:
        add_weight: that of the model which owns the variables.

    Attributes:
        rho: float variable, rho in force.
        residuals: float variable, of the last update, in the order of `RESIDUALS`.
        phase: int variable, a place in `PHASES`.
        steps: int variable, W-steps since the last update of Z and U.
        epoch: int variable, the epoch that last began.
        changed: float variable, the share of the index sets that the last update
            exchanged.
        rounds: int variable, how often the budget was given back.
        pulled: float variable, the penalty as the last update left it (`depart`).
        walked: int variable, W-steps of ADMM before the last update.
    """

    def __init__(self, add_weight):
        def state(name, shape=(), dtype="float32"):
            return add_weight(
                shape=shape,
                initializer="zeros",
                trainable=False,
                autocast=False,
                dtype=dtype,
                aggregation="only_first_replica",
                name=name,
            )

        self.rho = state("rho")
        self.residuals = state("residuals", shape=(len(RESIDUALS),))
        self.phase = state("phase", dtype="int32")
        self.steps = state("steps", dtype="int32")
        self.epoch = state("epoch", dtype="int32")
        self.changed = state("changed")
        self.rounds = state("rounds", dtype="int32")
        self.pulled = state("pulled")
        self.walked = state("walked", dtype="int32")

    def enter(self, phase):
        """Begin one of `PHASES`."""
        self.steps.assign(0)
        self.phase.assign(PHASES.index(phase))

    def updated(self):
        """Count W-steps from here."""
        self.walked.assign_add(value(self.steps))
        self.steps.assign(0)

    def depart(self, penalty, size):
        """Note the penalty that W sets out from, or that of `2 NEAR ||W||` if greater.

        Args:
            penalty: float.
            size: float, `||W||^2`.
        """
        least = updates.penalty(2.0 * NEAR * size**0.5, 0.0, 0.0, value(self.rho))
        self.pulled.assign(max(penalty, float(least)))

    def retraining(self):
        """Whether the phase is that, a boolean tensor."""
        return self.phase == PHASES.index(RETRAINING)


class Bar(keras.callbacks.ProgbarLogger):
    """Keras' progress bar, with what a person reads of the six keys of ADMM.

    Keras adds a bar of its own only if `fit` is given none. The logs keep all keys,
    for the other callbacks.
    """

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        super().on_epoch_end(epoch, {k: v for k, v in logs.items() if k not in UNSHOWN})


def with_bar(callbacks, verbose, **_):
    """The callbacks of `fit`, and the progress bar."""
    if not verbose or isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    callbacks = keras.tree.flatten(callbacks) if callbacks else []
    own = any(isinstance(c, keras.callbacks.ProgbarLogger) for c in callbacks)
    # The last, as Keras has it, so that it shows what others add.
    return callbacks if own else [*callbacks, Bar()]


def value(variable):
    """The number, or list of numbers, in a variable."""
    # Also in the mirrored variables of a `tf.distribute` strategy.
    return ops.convert_to_numpy(ops.convert_to_tensor(variable)).tolist()
