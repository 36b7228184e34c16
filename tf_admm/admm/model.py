"""The model that is trained by ADMM."""

import inspect
import warnings
from typing import Any

import keras

from tf_admm import schedules
from tf_admm.admm import checkpoints
from tf_admm.admm import checks
from tf_admm.admm import defaults
from tf_admm.admm import progress
from tf_admm.admm import trainers
from tf_admm.admm.cutting import Cutting
from tf_admm.admm.phases import Phases
from tf_admm.admm.progress import ADMM
from tf_admm.admm.progress import RETRAINING
from tf_admm.admm.reading import Reading
from tf_admm.admm.saving import Saving
from tf_admm.admm.slots import Slots
from tf_admm.structure import members


@keras.saving.register_keras_serializable(package="tf_admm")
class ADMMModel(Phases, Cutting, Reading, Saving, trainers.Trainer, keras.Model):
    """Prunes a Keras model by ADMM: compile it, fit it, take its `.model`.

    ADMM minimises `f(W, b)` subject to `W_i in S_i`, by three updates:

        W <- argmin_W f(W) + sum_i rho/2 ||W_i - Z_i + U_i||_F^2
        Z_i <- Pi_{S_i}(W_i + U_i)
        U_i <- U_i + W_i - Z_i

    `train_step` is the first, by the compiled optimizer; meanwhile the nonzeros of a
    mask's Z_i go with `W_i + U_i`, so that what is kept trains freely. `dual_update`,
    which `ADMMCallback` calls, is the others. `finalize` then keeps the weights in the
    last Z-step's index set and starts retraining: no other weight can become nonzero.
    Biases and normalisation scales are neither penalised nor pruned, but for those of
    pruned channels (`GroupSparsity`).

    The whole run lives in non-trainable variables (z, u, settled, rho, phase,
    counters). So `.keras` files, `save_weights`, `ModelCheckpoint` and
    `BackupAndRestore` carry it, dropout seeds included. `loss` and `val_loss` stay the
    task's.

    Args:
        model: a built Keras model, functional, sequential or subclassed. It is trained
            in place, and stays a plain Keras model. Its own regularizers, constraints
            and added losses count as ever. Fine-tune a pruned model through this
            wrapper: `fit` on the plain model would regrow the zeros.
        constraints: a constraint for each kernel:

            - a dict. Keys are layer names, structural paths, or regular expressions
              matched in full; a kernel's own full path counts, or else the first key
              that matches. Values are constraints, `None` to leave a layer alone, or
              functions from a kernel to one of these.
            - one constraint, or one function, for every prunable kernel.

            Kernels that get the same object share it. `GroupSparsity` goes to the
            channel groups that the matched kernels make.
        rho: `"auto"`, a number, or a `tf_admm.schedules.Schedule`. `"auto"` is chosen
            from the first steps, and balanced (`schedules.Balanced`).
        kept: a `Schedule` of what the sets keep over the ADMM phase, over what they
            are asked to keep, such as `Cubic(30.0)`; `None` to keep that from the
            start, or for `sparsity` to start from all, at most 30 times as much. It
            ends at 1. Sets of few values, and n of m, stay as they are.
        sparsity: float in [0, 1), in place of `constraints`: the fraction of zeros of
            all kernels together, which compete by curvature:
            `GlobalSparsity(sparsity, metric="curvature")`.
        regrowth: float, not negative: between two rounds of ADMM (`rounds` of
            `ADMMCallback`), the budget comes back this many times over, as 0.0, where
            the squared gradient of the task is largest; the next round trains and
            prunes within that.

    Raises:
        RuntimeError: if the backend is none that Keras trains on.
        TypeError: if the model is no Keras model.
        ValueError: if the model isn't built, brings a training step of
            its own, or was built in another scope of `tf.distribute` or of
            `keras.distribution`; if the strategy is none that Keras trains in; if a
            constraint key matches nothing that can be pruned; if both or neither of
            `constraints` and `sparsity` are given.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((8,)),
    ...     keras.layers.Dense(16, "relu", name="hidden"),
    ...     keras.layers.Dense(2, name="head"),
    ... ])
    >>> admm = tf_admm.ADMMModel(model, {"hidden": tf_admm.constraints.Sparsity(0.75)})
    >>> admm.compile("adam", "mse")
    >>> history = admm.fit(
    ...     np.ones((32, 8)), np.ones((32, 2)), epochs=3, verbose=0,
    ...     callbacks=[tf_admm.ADMMCallback(admm_epochs=2)],
    ... )
    >>> int(np.count_nonzero(model.get_layer("hidden").kernel.numpy()))
    32

    Reference: Zhang et al., 2018, arXiv:1804.03294.
    """

    def __init__(
        self,
        model: keras.Model,
        constraints: Any = None,
        rho: str | float | schedules.Schedule = "auto",
        kept: schedules.Schedule | None = None,
        *,
        sparsity: float | None = None,
        regrowth: float = 0.0,
        **kwargs: Any,
    ):
        schedule = schedules.get(rho)
        if sparsity is not None:
            constraints, kept = defaults.of(sparsity, constraints, kept)
        checks.check_given(constraints)
        kept = checks.schedule_of_kept(kept)
        checks.check_rho(schedule)
        checks.check_regrowth(regrowth)
        self.check_backend()
        checks.check_model(model)
        if sparsity is not None:
            defaults.warn_of_frozen(model)
        # A saved model gives the pairs themselves: what is trainable may have changed.
        if isinstance(constraints, members.Matched):
            matched = constraints
        else:
            matched = members.match(model, constraints)
        self.check_scope([kernel for kernel, _ in matched])
        # The model casts its inputs itself, as its own dtype policy says.
        # That policy also says whether `compile` scales the loss.
        super().__init__(autocast=False, **{"dtype": model.dtype_policy, **kwargs})
        self.model = model
        self.schedule = schedule
        self.kept = kept
        self.regrowth = float(regrowth)
        self._slots = Slots(
            matched, self.add_like, schedule.measures, self.regrowth > 0
        )
        self._progress = progress.Progress(self.add_weight)
        self.restored = False
        self.drawn = {}
        self.validate_cut = None
        self.built = True

    @property
    def output_names(self):
        return self.model.output_names

    # The W-update.

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    def penalty(self):
        """`sum_i rho/2 ||W_i - Z_i + U_i||_F^2`, a float.

        Z_i is the nearest to `W_i + U_i` with what the last Z-step settled: for sets
        of masks, only what is to be zero is pulled, and the rest trains freely.
        """
        return self._slots.penalty(self.rho)

    def fit(self, *args, **kwargs):
        """`keras.Model.fit`, which says so if it ends before retraining.

        Raises:
            ValueError: if a pruned kernel is not finite before an update of Z and U,
                or as retraining ends, with `ADMMCallback` as each epoch of it does.
        """
        given = inspect.signature(super().fit).bind(*args, **kwargs)
        given.apply_defaults()
        given.arguments["callbacks"] = progress.with_bar(**given.arguments)
        self.validate_cut = self._validation(**given.arguments)
        try:
            history = super().fit(*given.args, **given.kwargs)
        finally:
            self.validate_cut = None
        # `BackupAndRestore` leaves it behind, and then the `initial_epoch` of
        # the next fit would be ignored.
        self._initial_epoch = None
        if self.phase == RETRAINING:
            # Keras writes weight averages over the weights as `fit` ends.
            self._restrict_weights()
            self.check_retrained()
        elif self.phase == ADMM:
            warnings.warn(
                "`fit` ended in the ADMM phase: the weights are not pruned yet. "
                "Nothing is lost: go on with `fit`, or call `finalize()`. If "
                "`EarlyStopping` ended the phase or restored weights from it, "
                "set its `start_from_epoch=admm_epochs`, or use it in a second "
                "`fit`, for retraining.",
                stacklevel=2,
            )
        else:
            warnings.warn(
                "`fit` has pruned nothing: no `ADMMCallback` was among its callbacks.",
                stacklevel=2,
            )
        return history

    # Its config.

    def get_config(self):
        self._check_loadable()
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "constraints": checkpoints.describe(self.model, self._slots),
            "rho": keras.saving.serialize_keras_object(self.schedule),
            "kept": keras.saving.serialize_keras_object(self.kept),
            "regrowth": self.regrowth,
        }

    @classmethod
    def from_config(cls, config):
        model = keras.saving.deserialize_keras_object(config.pop("model"))
        constraints = checkpoints.constraints(model, config.pop("constraints"))
        return cls(model, constraints, **config)
