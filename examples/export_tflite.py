"""Write a pruned Keras model as a checked, sparse TFLite file.

    python export_tflite.py --model_path=sparse.keras --tflite_path=sparse.tflite

With --shrink the dead units go first. --dtype=int8 looks at images of the training
part of --dataset, or --data_path, for the ranges of activations.
"""

import keras
from absl import flags
from absl import logging

import common
import datasets
import tf_admm

FLAGS = flags.FLAGS
common.define_data_flags()
flags.DEFINE_string("model_path", "sparse.keras", "The pruned model.")
flags.DEFINE_string("tflite_path", "sparse.tflite", "Where the file goes.")
flags.DEFINE_bool("sparse", True, "Store zeros sparsely where that is smaller.")
flags.DEFINE_bool("shrink", False, "Leave the dead units out.")
flags.DEFINE_enum("dtype", "float32", ["float32", "float16", "int8"], "Weights.")
flags.DEFINE_enum(
    "io_dtype",
    "float32",
    ["float32", "int8"],
    "Inputs and outputs of an int8 file. TFLite Micro needs int8, and --nosparse.",
)
flags.DEFINE_bool(
    "select_tf_ops", False, "Let TensorFlow's operators do what TFLite can't."
)
flags.DEFINE_integer("representative", 200, "Images for int8.", lower_bound=1)


def representative():
    """Images for the ranges of activations; none are needed but for int8."""
    if FLAGS.dtype != "int8":
        return None
    x, _ = datasets.load(FLAGS.dataset, FLAGS.data_path).train
    return x[: FLAGS.representative]


def main(_):
    common.check_writable(FLAGS.tflite_path)
    model = keras.saving.load_model(FLAGS.model_path)
    if FLAGS.shrink:
        model, _ = tf_admm.shrink(model)
    report = tf_admm.export.to_tflite(
        model,
        FLAGS.tflite_path,
        sparse=FLAGS.sparse,
        dtype=FLAGS.dtype,
        representative=representative(),
        io_dtype=FLAGS.io_dtype,
        select_tf_ops=FLAGS.select_tf_ops,
    )
    logging.info("\n%s", report)


if __name__ == "__main__":
    common.run(main)
