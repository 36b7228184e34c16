"""Accuracy of a TFLite file on the test images, run by the LiteRT interpreter.

python evaluate_tflite.py --tflite_path=sparse.tflite --dataset=digits
"""

import os

import numpy as np
from absl import flags
from absl import logging
from ai_edge_litert.interpreter import Interpreter

import common
import datasets

FLAGS = flags.FLAGS
common.define_data_flags()
flags.DEFINE_string("tflite_path", "sparse.tflite", "The file to run.")


def predict(path, x, batch_size):
    """Outputs of a one-input, one-output file for all of `x`.

    Those of a file with int8 outputs are in int8: their order is the same.
    """
    runner = Interpreter(path).get_signature_runner()
    ((name, source),) = runner.get_input_details().items()
    outputs = []
    for start in range(0, len(x), batch_size):
        batch = quantized(x[start : start + batch_size], source)
        (output,) = runner(**{name: batch}).values()
        outputs.append(output)
    return np.concatenate(outputs)


def quantized(x, source):
    """`x` as the file takes it: in int8 by a scale and a zero point, or as it is."""
    scale, zero_point = source["quantization"]
    if not scale:
        return x
    limits = np.iinfo(source["dtype"])
    whole = np.round(x / scale) + zero_point
    return np.clip(whole, limits.min, limits.max).astype(source["dtype"])


def accuracy(path, x, y, batch_size):
    """Fraction of `x` that the file puts into the class `y`."""
    return np.mean(predict(path, x, batch_size).argmax(axis=-1) == y)


def main(_):
    x, y = datasets.load(FLAGS.dataset, FLAGS.data_path).test
    logging.info(
        "%s: test accuracy %.4f, %s bytes",
        FLAGS.tflite_path,
        accuracy(FLAGS.tflite_path, x, y, FLAGS.batch_size),
        f"{os.path.getsize(FLAGS.tflite_path):,}",
    )


if __name__ == "__main__":
    common.run(main)
