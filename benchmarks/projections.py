"""Time of the projections of large kernels, in copies of the kernel and beside NumPy's.

    python benchmarks/projections.py --sizes=100000,1000000,10000000
    KERAS_BACKEND=jax python benchmarks/projections.py --sizes=25000000,100000000

Compiled as the backend compiles: `tf.function`, `jax.jit`, torch as it is. A copy is
`-w`, compiled too, which reads and writes the kernel once; it takes turns with the
projection, and so does NumPy's (magnitudes, partition, ties), on the CPU. Each figure
is a median. How many weights are kept is an argument of the compiled function where it
may change from update to update. Memory is the peak beyond what the process held
before, over the size of the kernel, and only with `--memory`: each set in a process of
its own, on the CPU.
"""

import json
import math
import resource
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
from absl import app
from absl import flags
from keras import ops
from rich.console import Console
from rich.table import Table

FLAGS = flags.FLAGS
flags.DEFINE_list("sizes", ["1000000", "10000000"], "Weights.")
flags.DEFINE_list("sets", [], "Names that the sets begin with; all of `QUICK` if none.")
flags.DEFINE_integer("rounds", 5, "Turns.", lower_bound=1)
flags.DEFINE_bool("memory", False, "Measure the memory, too.")
flags.DEFINE_bool("json", False, "Print JSON.")

#: What is measured unless `--sets` asks for others: the Z-step of large models.
QUICK = ("Sparsity", "GlobalSparsity", "BlockSparsity(0.9, (4, 1))", "curvature")


def sets():
    """Name, set, and whether its kernel is of 3x3 convolutions."""
    from tf_admm import constraints as c

    return {
        "Sparsity(0.9)": (c.Sparsity(0.9), False),
        "Sparsity(0.99)": (c.Sparsity(0.99), False),
        "curvature: Sparsity(0.9)": (c.Sparsity(0.9, "curvature"), False),
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


def projection(constraint):
    """Function of a kernel, its squared gradients, and how many are kept."""
    from tf_admm import constraints as c
    from tf_admm.constraints import metrics
    from tf_admm.constraints import selection

    def project(w, f, kept):
        worth = metrics.weigh(constraint.metric, w, f)
        if type(constraint) is not c.Sparsity:
            (settled,) = constraint.settle([w], [worth])
            return constraint.restrict(w, settled)
        mask = selection.largest(ops.reshape(worth, (-1,)), kept)
        return constraint.restrict(w, ops.reshape(mask, w.shape))

    return project


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


def compiled(function):
    """A function that returns when its result is there."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    if keras.config.backend() == "jax":
        import jax

        function = jax.jit(function)
        return lambda *arguments: jax.block_until_ready(function(*arguments))
    import torch

    def waiting(*arguments):
        result = function(*arguments)
        if result.is_cuda:
            torch.cuda.synchronize()
        return result

    return waiting


def device():
    """The name of what it runs on."""
    if keras.config.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    if keras.config.backend() == "torch":
        return str(ops.zeros(()).device)
    return keras.distribution.list_devices()[0]


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def peak():
    """Bytes of the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(name, size):
    constraint, spatial = sets()[name]
    side = math.isqrt(size // (9 if spatial else 1)) // 16 * 16
    shape = (3, 3, side, side) if spatial else (side, side)
    rng = np.random.default_rng(0)
    w = rng.standard_normal(shape, dtype="float32")
    kept = ops.convert_to_tensor(round(0.01 * w.size) if "99" in name else w.size // 10)
    tensor = ops.convert_to_tensor(w)
    f = ops.square(tensor) if "curvature" in name else ops.zeros(())
    project, copy = compiled(projection(constraint)), compiled(ops.negative)
    before = peak()
    project(tensor, f, kept)
    memory = (peak() - before) / w.nbytes
    copy(tensor)
    turns = [
        (
            seconds(project, tensor, f, kept),
            seconds(copy, tensor),
            seconds(numpy_projection, w, 0.9),
        )
        for _ in range(FLAGS.rounds)
    ]
    return {
        "set": name,
        "weights": w.size,
        "seconds": statistics.median(ours for ours, _, _ in turns),
        "copies": statistics.median(ours / copy for ours, copy, _ in turns),
        "numpy": statistics.median(ours / plain for ours, _, plain in turns),
        "memory": memory,
    }


def of_process(name, size):
    command = [sys.executable, __file__, f"--sets={name}", f"--sizes={size}"]
    command += [f"--rounds={FLAGS.rounds}", "--json"]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(output.stdout.splitlines()[-1])


def table(rows):
    result = Table("set", title=f"Projections, {keras.config.backend()}, {device()}")
    for column in ("weights", "ms", "copies", "over NumPy"):
        result.add_column(column, justify="right")
    if FLAGS.memory:
        result.add_column("memory", justify="right")
    for row in rows:
        cells = [row["set"], f"{row['weights']:,}", f"{1e3 * row['seconds']:.2f}"]
        cells += [f"{row['copies']:.1f}", f"{row['numpy']:.2f}x"]
        if FLAGS.memory:
            cells.append(f"{row['memory']:.1f}x")
        result.add_row(*cells)
    return result


def main(_):
    names = [n for n in sets() if n.startswith(tuple(FLAGS.sets) or QUICK)]
    # A name has commas, and is whole here.
    if FLAGS.json:
        names = [n for n in sets() if n == ",".join(FLAGS.sets)]
    how = of_process if FLAGS.memory else measure
    rows = [how(name, int(size)) for size in FLAGS.sizes for name in names]
    if FLAGS.json:
        print(json.dumps(rows[0]))
    else:
        Console().print(table(rows))


if __name__ == "__main__":
    app.run(main)
