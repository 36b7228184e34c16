"""Files beside each other: bytes, and times on one thread, the files taking turns."""

import statistics
import time

import numpy as np


def interpreter(path, shapes=None):
    """A LiteRT interpreter of a file on one thread, with random inputs set.

    Args:
        path: the file.
        shapes: dict from names of inputs to shapes, for those that are open.
    """
    from ai_edge_litert.interpreter import Interpreter

    result = Interpreter(str(path), num_threads=1)
    for detail in result.get_input_details() if shapes else ():
        name = detail["name"].removeprefix("serving_default_").split(":")[0]
        result.resize_tensor_input(detail["index"], shapes[name])
    result.allocate_tensors()
    rng = np.random.default_rng(0)
    for detail in result.get_input_details():
        x = rng.uniform(0, 1, detail["shape"])
        if detail["dtype"] == np.int8:
            x = x * 100
        result.set_tensor(detail["index"], x.astype(detail["dtype"]))
    result.invoke()
    return result


def seconds(runners, turns):
    """Seconds of the thread, of each runner at each turn; a dict of lists."""
    found = {name: [] for name in runners}
    for _ in range(turns):
        for name, runner in runners.items():
            start = time.thread_time()
            runner.invoke()
            found[name].append(time.thread_time() - start)
    return found


def faster(found, dense, small):
    """How many times faster: the median of the ratios of each turn."""
    return statistics.median(a / b for a, b in zip(found[dense], found[small]))


def milliseconds(found, name):
    return 1000 * statistics.median(found[name])
