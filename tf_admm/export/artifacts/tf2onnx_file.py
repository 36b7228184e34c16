"""ONNX files as Keras and tf2onnx write them, with what either lacks."""

import contextlib
import functools
import io
import logging
import warnings

import keras
import numpy as np

from tf_admm.export.artifacts import asked
from tf_admm.export.tflite.signature import Signature
from tf_admm.structure.precision import float32_compute


def write(model, path, example, names, batch):
    """Write the file, unchecked, with Keras on TensorFlow."""
    served = _Served(model, Signature(model, example), names)
    shapes = asked.specs(served.signature, names[0], batch)
    inputs = dict(zip(names[0], shapes))
    try:
        with float32_compute(model), _quiet():
            _register_operators()
            served.export(path, format="onnx", verbose=False, input_signature=[inputs])
            _fill(path, names[0], _constants(served, inputs))
    except Exception as error:
        raise asked.failed(model, error) from error


class _Served(keras.Model):
    """A model of one flat dict of inputs, and one of outputs."""

    def __init__(self, model, signature, names):
        super().__init__(name="served")
        self.model, self.signature = model, signature
        self.sources, self.results = names
        # All that it has is that of the model.
        self.built = True

    def call(self, inputs):
        flat = [inputs[name] for name in self.sources]
        outputs = self.model(self.signature.pack(flat), training=False)
        return dict(zip(self.results, keras.tree.flatten(outputs)))


@contextlib.contextmanager
def _quiet():
    """Without what tf2onnx says of its ways; what matters shows as the file is run."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


@functools.cache
def _register_operators():
    """Tell tf2onnx of what it lacks: erfc, which `gelu` is made of."""
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class Erfc:
        """erfc(x) = 1 - erf(x)."""

        @classmethod
        def version_9(cls, graph, node, **_):
            one = graph.make_const(f"{node.name}/one", np.array(1, "float32"))
            erf = graph.make_node("Erf", node.input, name=f"{node.name}/erf")
            node.type = "Sub"
            graph.replace_inputs(node, [one.output[0], erf.output[0]])


def _constants(served, inputs):
    """Tensors that the model's graph holds, and that are no variables, by name."""
    import tensorflow as tf

    specs = {n: tf.TensorSpec(s.shape, s.dtype, name=n) for n, s in inputs.items()}
    graph = tf.function(served).get_concrete_function(specs)
    held = zip(graph.inputs[len(specs) :], graph.captured_inputs, strict=True)
    return {a.name: b.numpy() for a, b in held if b.dtype != tf.resource}


def _fill(path, names, constants):
    """Give inputs that the model doesn't have, which tf2onnx leaves open, their values.

    They are tensors that a layer has that is no variable, as `Normalization` does.
    """
    import onnx

    model = onnx.load(path)
    extra = [x for x in model.graph.input if x.name not in names]
    for entry in extra:
        value = onnx.numpy_helper.from_array(constants[entry.name], entry.name)
        model.graph.initializer.append(value)
        model.graph.input.remove(entry)
    if extra:
        onnx.save(model, path)
