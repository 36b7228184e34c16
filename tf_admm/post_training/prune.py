"""Pruning by inputs alone."""

import time
from typing import Any

import keras

from tf_admm.constraints import GlobalSparsity
from tf_admm.post_training import checking
from tf_admm.post_training.layerwise import Pass
from tf_admm.post_training.report import PostTrainingReport
from tf_admm.printing import shown
from tf_admm.structure import checks
from tf_admm.structure import kernels
from tf_admm.structure import members


def prune_post_training(
    model: keras.Model,
    samples: Any,
    constraints: Any = None,
    *,
    sparsity: float | None = None,
    verbose: int = 1,
) -> tuple[keras.Model, PostTrainingReport]:
    """Prune a trained model on a few hundred inputs: no labels, no training.

    Layer by layer, in the order of their calls, each kernel W_0 becomes the V in its
    set for which

        ||X_0 W_0 - X V||_F^2

    is least, X_0 what the layer read in the trained model, X what it reads in the model
    pruned so far. ADMM with the exact W-update settles what is kept, and least squares
    what it is. Unless a set couples kernels, none loses more than by the nearest
    member to W_0, which is magnitude pruning.

    Dense, EinsumDense, convolutions and depthwise ones are solved so. Other kernels are
    projected: of recurrent layers, of transposed and of `channels_first` convolutions,
    of EinsumDense with a matrix for each position (`"abc,bcd->abd"`), and what is
    called inside of loops that are compiled. Kernels that a set couples, as
    `GlobalSparsity` does, and channel groups are settled together, by what all of them
    lose, and then solved.

    The model is pruned in place. Deploy it; or go on with `ADMMModel`, or with
    `freeze_sparsity` and `fit`.

    Args:
        model: a built Keras model, trained.
        samples: inputs in the structure of the model's, a few hundred, as arrays. All
            of them go through the model at once.
        constraints: as in `ADMMModel`.
        sparsity: float in [0, 1), in place of `constraints`: the fraction of zeros of
            all kernels together.
        verbose: 0 to print nothing.

    Returns:
        `(model, report)`: the same model, and a `PostTrainingReport`.

    Raises:
        ValueError: as `ADMMModel`; if the samples don't fit the model, or aren't
            finite, or kernels aren't. The model is as it was then.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
    >>> samples = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    >>> half = tf_admm.constraints.Sparsity(0.5)
    >>> model, report = tf_admm.prune_post_training(model, samples, half, verbose=0)
    >>> report.rows[0].kept, report.rows[0].loss < report.rows[0].projected
    (64, True)

    Reference: ALPS, Meng et al., 2024, arXiv:2406.07831.
    """
    start = time.monotonic()
    checks.check_built(model)
    samples = checking.checked(model, samples)
    matched = members.match(model, _of(constraints, sparsity))
    checking.check_finite([*kernels.find(model), *(item for item, _ in matched)])
    before = model.get_weights()
    try:
        rows = Pass(model, matched).run(samples)
    except BaseException:
        model.set_weights(before)
        raise
    return model, shown(PostTrainingReport(rows, time.monotonic() - start), verbose)


def _of(constraints, sparsity):
    if (constraints is None) == (sparsity is None):
        raise ValueError(
            "Expected either `constraints` or `sparsity`. Received: "
            f"constraints={constraints}, sparsity={sparsity}"
        )
    return constraints if sparsity is None else GlobalSparsity(sparsity)
