"""Files and times of a large MLP, dense beside sparse, by LiteRT on one thread.

    python benchmarks/latency.py --sparsity=0.95

1024-4096-4096-1000, random weights. Single weights and 1x4 blocks are pruned by
magnitude, and exported. The files take turns; the ratio is the median over the
turns, the times are of the thread. Memory is what a process grows by from loading
the file to its first result.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

FLAGS = flags.FLAGS
flags.DEFINE_float("sparsity", 0.95, "Fraction of zeros.")
flags.DEFINE_list("widths", ["1024", "4096", "4096", "1000"], "Of the layers.")
flags.DEFINE_integer("turns", 101, "Runs of each file.", lower_bound=1)
flags.DEFINE_string("only", None, "Load one file, and print the memory it takes.")


def interpreter(path):
    from ai_edge_litert.interpreter import Interpreter

    result = Interpreter(str(path), num_threads=1)
    result.allocate_tensors()
    (source,) = result.get_input_details()
    x = np.random.default_rng(0).normal(size=source["shape"]).astype("float32")
    result.set_tensor(source["index"], x)
    result.invoke()
    return result


def export_all(folder):
    """Write the files, and return a dict of paths."""
    import keras

    import tf_admm
    from tf_admm.constraints import BlockSparsity
    from tf_admm.constraints import Sparsity

    first, *widths = map(int, FLAGS.widths)
    stack = [keras.layers.Dense(width, "relu") for width in widths]
    model = keras.Sequential([keras.Input((first,)), *stack])
    dense = model.get_weights()
    sets = {
        "dense": Sparsity(0.0),
        "unstructured": Sparsity(FLAGS.sparsity),
        "1x4 blocks": BlockSparsity(FLAGS.sparsity, (4, 1)),
    }
    paths = {}
    for name, constraint in sets.items():
        model.set_weights(dense)
        for layer in model.layers:
            layer.kernel.assign(constraint(layer.kernel))
        paths[name] = os.path.join(folder, f"{name}.tflite")
        sparse = name != "dense"
        tf_admm.export.to_tflite(model, paths[name], sparse=sparse)
    return paths


def times(paths):
    """Seconds of the thread, of each file at each turn."""
    interpreters = {name: interpreter(path) for name, path in paths.items()}
    seconds = {name: [] for name in paths}
    for _ in range(FLAGS.turns):
        for name, runner in interpreters.items():
            start = time.thread_time()
            runner.invoke()
            seconds[name].append(time.thread_time() - start)
    return seconds


def resident():
    """Bytes of memory that this process holds, on Linux."""
    # `ru_maxrss` would begin at what the process that started this one held.
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def memory(path):
    command = [sys.executable, __file__, f"--only={path}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(output.stdout.split()[-1])


def main(_):
    if FLAGS.only:
        import ai_edge_litert.interpreter  # noqa: F401, so that it doesn't count

        before = resident()
        loaded = interpreter(FLAGS.only)
        print(resident() - before)
        del loaded
        return
    table = Table(title=f"{'-'.join(FLAGS.widths)}, {FLAGS.sparsity:.0%} zeros")
    for column in ("weights", "bytes", "ms", "times faster", "memory"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        paths = export_all(folder)
        seconds = times(paths)
        for name, path in paths.items():
            pairs = zip(seconds["dense"], seconds[name])
            table.add_row(
                name,
                f"{os.path.getsize(path):,}",
                f"{1000 * statistics.median(seconds[name]):.2f}",
                f"{statistics.median(a / b for a, b in pairs):.2f}x",
                f"{memory(path):,}",
            )
    Console().print(table)


if __name__ == "__main__":
    app.run(main)
