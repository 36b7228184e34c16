"""`shrink` on random graphs, beside the same graphs without dead channels, by hand.

    python benchmarks/random_graphs.py --graphs=300

Each graph is built from a seed, of convolutions, depthwise and separable ones, residual
sums, concatenations, squeeze-and-excite, normalisations, operations between layers,
nested models and shared layers, and channels that are tied are killed together. What
`shrink` makes of it must compute the same, and have no more parameters than the graph
that is built without these channels. It ends with exit code 1 if one does not.
"""

import collections
import pathlib
import sys
import time

import keras
import numpy as np
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

import tf_admm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
import random_graphs  # noqa: E402, the tests take thirty

FLAGS = flags.FLAGS
flags.DEFINE_integer("graphs", 300, "Graphs to build.", lower_bound=1)
flags.DEFINE_integer("start", 0, "The first seed.")


def outputs(model, x):
    found = keras.tree.flatten(model(x))
    return [keras.ops.convert_to_numpy(y) for y in found]


def difference(expected, got):
    """The largest, relative to max(1, largest |output|)."""
    return max(
        np.abs(a - b).max() / max(1.0, np.abs(a).max()) for a, b in zip(expected, got)
    )


def one(seed):
    """Kinds of layers; whether equal, whether complete; seconds of `shrink`."""
    keras.backend.clear_session()
    model, by_hand, found = random_graphs.graph(seed)
    x = np.random.default_rng(seed).normal(size=(2, 9, 9, 3)).astype("float32")
    expected = outputs(model, x)
    if difference(expected, outputs(by_hand, x)) > 1e-5:
        raise RuntimeError(f"Expected two graphs that agree. Received: seed {seed}")
    start = time.process_time()
    small, _ = tf_admm.shrink(model, samples=x, verbose=0)
    seconds = time.process_time() - start
    equal = difference(expected, outputs(small, x)) <= 1e-5
    return found, equal, small.count_params() <= by_hand.count_params(), seconds


def main(_):
    counts, wrong, times = collections.Counter(), [], []
    for seed in range(FLAGS.start, FLAGS.start + FLAGS.graphs):
        found, equal, complete, seconds = one(seed)
        counts.update(set(found))
        times.append(seconds)
        if not (equal and complete):
            wrong.append((seed, equal, complete))
            print(f"seed {seed}: equal {equal}, complete {complete}", flush=True)
    table = Table(title=f"{FLAGS.graphs} random graphs")
    table.add_column("layer or step")
    table.add_column("graphs with it", justify="right")
    for kind, count in sorted(counts.items()):
        table.add_row(kind, str(count))
    table.add_section()
    table.add_row("not equal", str(sum(not equal for _, equal, _ in wrong)))
    table.add_row("not complete", str(sum(not complete for *_, complete in wrong)))
    table.add_row("median seconds of shrink", f"{np.median(times):.2f}")
    Console().print(table)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    app.run(main)
