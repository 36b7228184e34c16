"""Time and memory of the projections of a large kernel, beside plain NumPy's.

    python benchmarks/projections.py --size=25000000

Each set in a process of its own, eagerly, as the Z-step runs it. The NumPy
projection (magnitudes, partition, where, ties) of the same tensor takes turns
with it; the ratio is the median over the pairs. Memory is the peak beyond what the
process held before, over the size of the tensor.
"""

import json
import math
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

FLAGS = flags.FLAGS
flags.DEFINE_integer("size", 25_000_000, "Weights.", lower_bound=1000)
flags.DEFINE_integer("rounds", 5, "Pairs of measurements.", lower_bound=1)
flags.DEFINE_string("only", None, "Measure one set, and print JSON.")


def sets():
    """Name, set, and whether its kernel is of 3x3 convolutions."""
    from tf_admm import constraints as c

    return {
        "Sparsity(0.9)": (c.Sparsity(0.9), False),
        "Sparsity(0.99)": (c.Sparsity(0.99), False),
        "GlobalSparsity(0.9)": (c.GlobalSparsity(0.9), False),
        "BlockSparsity(0.9, (4, 1))": (c.BlockSparsity(0.9, (4, 1)), False),
        "BlockSparsity(0.9, (16, 1))": (c.BlockSparsity(0.9, (16, 1)), False),
        "NMSparsity(2, 4)": (c.NMSparsity(2, 4), False),
        "FilterSparsity(0.5)": (c.FilterSparsity(0.5), True),
        "ChannelSparsity(0.5)": (c.ChannelSparsity(0.5), True),
        "ColumnSparsity(0.5)": (c.ColumnSparsity(0.5), True),
        "KernelSparsity(0.5)": (c.KernelSparsity(0.5), True),
        "PatternSparsity()": (c.PatternSparsity(), True),
        "Levels.ternary()": (c.Levels.ternary(), False),
        **{
            f"Levels.uniform({bits}{', per_channel=True' if each else ''})": (
                c.Levels.uniform(bits, each),
                False,
            )
            for bits in (4, 8)
            for each in (False, True)
        },
        "Levels.powers_of_two(4)": (c.Levels.powers_of_two(4), False),
        **{f"Clusters({k})": (c.Clusters(k), False) for k in (2, 16, 256)},
    }


def numpy_projection(w, sparsity):
    """The plain twin: exactly the largest, of equal ones the first."""
    flat = w.ravel()
    magnitude = np.abs(flat)
    kept = flat.size - round(sparsity * flat.size)
    threshold = np.partition(magnitude, flat.size - kept)[flat.size - kept]
    above = magnitude > threshold
    ties = np.flatnonzero(magnitude == threshold)
    above[ties[: kept - np.count_nonzero(above)]] = True
    return np.where(above, flat, 0).reshape(w.shape)


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def peak():
    """Bytes of the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(name):
    import tensorflow as tf

    constraint, spatial = sets()[name]
    side = math.isqrt(FLAGS.size // (9 if spatial else 1)) // 16 * 16
    shape = (3, 3, side, side) if spatial else (side, side)
    w = np.random.default_rng(0).standard_normal(shape, dtype="float32")
    tensor = tf.constant(w)
    # What TensorFlow itself takes at its first calls, on a small tensor.
    constraint(tensor[..., :600, :64])
    before = peak()
    constraint(tensor)
    memory = (peak() - before) / w.nbytes
    pairs = [
        (seconds(constraint, tensor), seconds(numpy_projection, w, 0.9))
        for _ in range(FLAGS.rounds)
    ]
    return {
        "weights": w.size,
        "seconds": statistics.median(ours for ours, _ in pairs),
        "numpy": statistics.median(plain for _, plain in pairs),
        "ratio": statistics.median(ours / plain for ours, plain in pairs),
        "memory": memory,
    }


def of_process(name):
    command = [sys.executable, __file__, f"--only={name}", f"--size={FLAGS.size}"]
    command.append(f"--rounds={FLAGS.rounds}")
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(output.stdout.splitlines()[-1])


def main(_):
    if FLAGS.only:
        print(json.dumps(measure(FLAGS.only)))
        return
    table = Table("set", title="Projections")
    for column in ("weights", "seconds", "NumPy, seconds", "ratio", "memory"):
        table.add_column(column, justify="right")
    for name in sets():
        row = of_process(name)
        table.add_row(
            name,
            f"{row['weights']:,}",
            f"{row['seconds']:.2f}",
            f"{row['numpy']:.2f}",
            f"{row['ratio']:.2f}x",
            f"{row['memory']:.1f}x",
        )
    Console().print(table)


if __name__ == "__main__":
    app.run(main)
