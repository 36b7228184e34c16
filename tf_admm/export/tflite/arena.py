"""The memory that the tensors between a file's operators take.

An estimate of the tensor arena of TFLite Micro, by the plan of its
`GreedyMemoryPlanner`: the largest tensor first, each at the lowest offset where it
overlaps none that is alive at the same time. It leaves out what is not in the file:
scratch buffers of kernels, the interpreter's own records of tensors and operators
(some hundred bytes for each), and variables that are kept from run to run. Sizes that
the file leaves open, such as the batch, count as it has them: 1.
"""

import dataclasses
import math

import numpy as np

from tf_admm.export.tflite import flatbuffer

#: Bytes that the start of each tensor is a multiple of.
ALIGNMENT = 16


@dataclasses.dataclass
class Lifetime:
    """A tensor: its bytes, and the first and last step that it is alive in."""

    bytes: int
    first: int
    last: int

    def meets(self, other):
        return self.first <= other.last and other.first <= self.last


def arena_bytes(data):
    """Bytes of the arena of a TFLite file, about."""
    return planned(lifetimes(data))


def planned(tensors):
    """Bytes that tensors take by a greedy plan, the largest first."""
    placed, end = [], 0
    for tensor in sorted(tensors, key=lambda tensor: -tensor.bytes):
        offset = 0
        for start, other in placed:
            if tensor.meets(other):
                if start - offset >= tensor.bytes:
                    break
                offset = max(offset, start + other.bytes)
        placed.append((offset, tensor))
        placed.sort(key=lambda pair: pair[0])
        end = max(end, offset + tensor.bytes)
    return end


def lifetimes(data):
    """A `Lifetime` for each tensor of a file that is no constant and no variable."""
    model = flatbuffer.read(data)
    found = {}
    _Clock(model, found).run(0)
    return list(found.values())


class _Clock:
    """Steps through the operators of a model, and those of the graphs they call."""

    def __init__(self, model, found):
        self._model = model
        self._found = found
        self._time = 0

    def run(self, number):
        graph = self._model.subgraphs[number]
        self._see(number, graph.inputs)
        for operator in graph.operators:
            self._time += 1
            self._see(number, operator.outputs)
            # Both sides of the call are alive while what it calls runs.
            self._see(number, operator.inputs)
            for called in _called(operator):
                self.run(called)
            self._see(number, operator.outputs)
            self._see(number, operator.inputs)
        self._time += 1
        self._see(number, graph.outputs)

    def _see(self, number, indices):
        """Note that tensors are alive now."""
        for index in map(int, indices):
            if index < 0:
                continue
            size = self._size(self._model.subgraphs[number].tensors[index])
            if size:
                new = Lifetime(size, self._time, self._time)
                self._found.setdefault((number, index), new).last = self._time

    def _size(self, tensor):
        """Bytes, aligned; 0 for a constant or a variable."""
        data = self._model.buffers[tensor.buffer].data
        if tensor.isVariable or tensor.sparsity is not None or data is not None:
            return 0
        size = math.prod(map(int, tensor.shape)) * _width(tensor.type)
        return -(-size // ALIGNMENT) * ALIGNMENT


def _called(operator):
    """Numbers of the graphs that an operator calls."""
    options = vars(operator.builtinOptions) if operator.builtinOptions else {}
    return [n for key, n in options.items() if key.lower().endswith("subgraphindex")]


def _width(number):
    """Bytes of one value of a type; 0 of strings, handles and the like."""
    from ai_edge_litert import schema_py_generated as schema

    names = {n: name.lower() for name, n in vars(schema.TensorType).items()}
    try:
        return np.dtype(names[number]).itemsize
    except TypeError:
        return 0
