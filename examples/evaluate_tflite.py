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
    """Outputs of a one-input, one-output file for all of `x`."""
    interpreter = Interpreter(path)
    (source,) = interpreter.get_input_details()
    (result,) = interpreter.get_output_details()
    outputs = []
    for start in range(0, len(x), batch_size):
        batch = x[start : start + batch_size]
        interpreter.resize_tensor_input(source["index"], batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], batch)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"]))
    return np.concatenate(outputs)


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
