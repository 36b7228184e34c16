"""The size at which a file is as small, or as fast, as was asked."""

import os
import statistics
import tempfile
import warnings

from tf_admm.compression import families
from tf_admm.compression import search
from tf_admm.export import to_tflite
from tf_admm.export.tflite.signature import Signature
from tf_admm.reporting.running import Runner

#: So much more than was asked is aimed at, since training moves what is kept.
MARGIN = 1.05
#: Runs of both files that the ratio of their times is the median of.
TURNS = 51


def share(model, copied, family, goal, samples):
    """The largest share at which a file meets the goal, found without training.

    Args:
        model: the dense model.
        copied: a function that returns a copy of it.
        family: what is pruned.
        goal: a `Goal` of `bytes` or `speed`.
        samples: inputs of some rows, in the structure of the model's.

    Raises:
        ValueError: if none does.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.tflite")
        meets = {"bytes": _is_small, "speed": _is_fast}[goal.name]
        dense = _written(model, path, sparse=False)
        rows = [x[:1] for x in Signature(model).flatten(samples)]

        def met(share):
            try:
                small = families.pruned_at_once(copied(), family, share)
            except ValueError:
                # Nothing of this size can be made.
                return False
            return meets(small, path, goal.value, dense, rows)

        found = search.largest(met, family.factor, family.fineness, families.LEAST)
    if found is None:
        raise ValueError(
            f"Expected a goal that can be met. Received: {goal}, which no file meets, "
            f"however few {family.noun}"
        )
    return found


def _written(model, path, **options):
    with warnings.catch_warnings():
        # Of a dense file where the sparse one is no smaller.
        warnings.simplefilter("ignore", UserWarning)
        to_tflite(model, path, **options)
    return Runner(path, Signature(model))


def _is_small(model, path, most, dense, rows):
    """Whether the float16 file is; the int8 one may be smaller still."""
    _written(model, path, dtype="float16")
    return os.path.getsize(path) * MARGIN <= most


def _is_fast(model, path, least, dense, rows):
    """Whether the float32 file is, the two taking turns."""
    small = _written(model, path, sparse=False)
    for runner in (dense, small):
        runner.set(rows)
    ratios = [dense.seconds() / small.seconds() for _ in range(TURNS)]
    return statistics.median(ratios) >= least * MARGIN
