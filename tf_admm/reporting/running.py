"""A file, run on one thread, its inputs and outputs told by their names."""

import time

import keras
import numpy as np

from tf_admm.export.tflite.signature import output_names


class Runner:
    """A TFLite file.

    Args:
        path: the file.
        signature: the `Signature` of the model that it was made from.
    """

    def __init__(self, path, signature):
        self._path, self._signature = str(path), signature
        self._start()

    def _start(self):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(self._path, num_threads=1)
        # Positions in a file are arbitrary; its signature has the names.
        runner = self._interpreter.get_signature_runner()
        sources = runner.get_input_details()
        self._sources = [sources[name] for name in self._signature.names]
        self._results = runner.get_output_details()
        self._shapes = None

    def set(self, row):
        """Put inputs in, a flat list of arrays, and make room for their sizes."""
        shapes = [x.shape for x in row]
        if shapes != self._shapes:
            for source, shape in zip(self._sources, shapes):
                self._interpreter.resize_tensor_input(source["index"], shape)
            self._interpreter.allocate_tensors()
            self._shapes = shapes
        for source, x in zip(self._sources, row):
            self._interpreter.set_tensor(source["index"], x)

    def seconds(self):
        """Time of one run of what was put in, of this thread's processor."""
        start = time.thread_time()
        self._interpreter.invoke()
        return time.thread_time() - start

    def answers(self, structure):
        """Function from a batch of inputs to outputs in this structure.

        The file is run on one row at a time, or on as many as it insists on, and
        starts afresh.
        """
        self._start()
        names = output_names(structure)

        def run(inputs):
            flat = self._signature.match(inputs)
            size = self._signature.batch or 1
            starts = range(0, len(flat[0]), size)
            rows = [
                self._outputs(names, [x[i : i + size] for x in flat]) for i in starts
            ]
            outputs = [
                keras.ops.convert_to_tensor(np.concatenate(x)) for x in zip(*rows)
            ]
            return keras.tree.pack_sequence_as(structure, outputs)

        return run

    def _outputs(self, names, row):
        self.set(row)
        self._interpreter.invoke()
        return [
            self._interpreter.get_tensor(self._results[name]["index"]) for name in names
        ]
