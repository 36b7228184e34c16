"""Random small models through `to_tflite`, each file run on inputs it has not seen.

    python benchmarks/random_exports.py --models=300

Layer kinds, sizes, sparsities and value types are drawn; for each, the dense and the
sparse file are written, and compared with Keras, with and without the default
delegate. Prints how many were wrong, how many could not be made, and how many were
smaller sparse.
"""

import collections
import os
import tempfile
import warnings

import keras
import numpy as np
from absl import app
from absl import flags
from rich.console import Console
from rich.progress import track
from rich.table import Table

FLAGS = flags.FLAGS
flags.DEFINE_integer("models", 300, "How many.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Of the first; the others follow.")

L = keras.layers
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "int8": 0.1}


def size(rng, low=1, high=40):
    return int(rng.integers(low, high))


def images(rng):
    """A stack of layers on images."""
    kinds = [
        lambda: L.Conv2D(size(rng), size(rng, 1, 4), padding="same"),
        lambda: L.Conv2D(size(rng), 2, strides=2, activation="relu"),
        lambda: L.Conv2D(size(rng), 2, dilation_rate=2, padding="same"),
        lambda: L.DepthwiseConv2D(3, padding="same", depth_multiplier=size(rng, 1, 3)),
        lambda: L.SeparableConv2D(size(rng), 3, padding="same"),
        lambda: L.Conv2DTranspose(size(rng), 3, strides=size(rng, 1, 3)),
        L.BatchNormalization,
        lambda: L.MaxPooling2D(2, padding="same"),
        lambda: L.Activation("tanh"),
    ]
    stack = [kinds[i]() for i in rng.integers(0, len(kinds), size(rng, 1, 4))]
    head = [L.Flatten, L.GlobalAveragePooling2D][size(rng, 0, 2)]()
    return (size(rng, 6, 12), size(rng, 6, 12), size(rng, 1, 9)), [*stack, head]


def sequences(rng):
    """A stack of layers on sequences of vectors."""
    kinds = [
        lambda: L.Conv1D(size(rng), size(rng, 1, 4), padding="causal"),
        lambda: L.Dense(size(rng), activation="relu"),
        lambda: L.LSTM(size(rng), return_sequences=True),
        lambda: L.GRU(size(rng), return_sequences=True),
        lambda: L.LayerNormalization(),
        lambda: L.EinsumDense("...x,xy->...y", size(rng)),
    ]
    stack = [kinds[i]() for i in rng.integers(0, len(kinds), size(rng, 1, 4))]
    return (size(rng, 2, 8), size(rng)), [*stack, L.Flatten()]


def vectors(rng):
    return (size(rng, 1, 300),), []


def draw(seed):
    """A model with zeros, its value type, and what it is called."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    shape, stack = [images, sequences, vectors][seed % 3](rng)
    dense = [L.Dense(size(rng, 1, 130), "relu") for _ in range(size(rng, 0, 3))]
    model = keras.Sequential([keras.Input(shape), *stack, *dense, L.Dense(size(rng))])
    for variable in model.trainable_variables:
        w = np.array(variable)
        if w.ndim > 1:
            sparsity = rng.choice([0.0, 0.25, 0.5, 0.9, 0.97, 0.99, 1.0])
            variable.assign(w * (rng.random(w.shape) >= sparsity))
        else:
            variable.assign(w + rng.normal(0, 0.1, w.shape))
    recurrent = any(isinstance(layer, L.RNN) for layer in stack)
    dtypes = ["float32", "float16"] if recurrent else ["float32", "float16", "int8"]
    return model, str(rng.choice(dtypes))


def difference(path, x, expected, tolerance):
    """The largest difference, as a multiple of what it may be."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.interpreter import OpResolverType

    worst = 0.0
    for kind in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        interpreter = Interpreter(str(path), experimental_op_resolver_type=kind)
        runner = interpreter.get_signature_runner()
        rows = int(runner.get_input_details()["input_0"]["shape"][0])
        for row in range(0, len(x), rows):
            found = runner(input_0=x[row : row + rows])["output_0"]
            gap = np.abs(found - expected[row : row + rows]).max()
            worst = max(worst, gap if np.isfinite(gap) else np.inf)
    return worst / (tolerance * max(1.0, np.abs(expected).max()))


def check(seed, path):
    """`(dtype, what came of it)` of one model."""
    from tf_admm.export import to_tflite

    model, dtype = draw(seed)
    x = np.random.default_rng(seed).normal(size=(64, *model.input_shape[1:]))
    x = x.astype("float32")
    representative = x if dtype == "int8" else None
    expected = np.array(model(x[-8:], training=False))
    result = "dense"
    for sparse in (False, True):
        try:
            report = to_tflite(
                model,
                path,
                sparse=sparse,
                dtype=dtype,
                representative=representative,
            )
        except RuntimeError:
            return dtype, "not made"
        if difference(path, x[-8:], expected, TOLERANCES[dtype]) > 1:
            return dtype, "WRONG"
        if report.sparse_tensors:
            result = "sparse"
    return dtype, result


def main(_):
    warnings.simplefilter("ignore")
    counts, wrong = collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.tflite")
        for i in track(range(FLAGS.models), "models"):
            seed = FLAGS.seed + i
            outcome = check(seed, path)
            counts[outcome] += 1
            if outcome[1] == "WRONG":
                wrong.append(seed)
    table = Table(title=f"{FLAGS.models} random models; wrong: {wrong or 'none'}")
    results = ("sparse", "dense", "not made", "WRONG")
    for column in ("weights", *results):
        table.add_column(column, justify="right")
    for dtype in TOLERANCES:
        table.add_row(dtype, *(str(counts[dtype, result]) for result in results))
    Console().print(table)


if __name__ == "__main__":
    app.run(main)
