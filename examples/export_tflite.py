"""Write a pruned Keras model as a checked, sparse TFLite file.

python export_tflite.py --model_path=sparse.keras --tflite_path=sparse.tflite
"""

import keras
from absl import app
from absl import flags
from absl import logging

import common
import tf_admm

FLAGS = flags.FLAGS
flags.DEFINE_string("model_path", "sparse.keras", "The pruned model.")
flags.DEFINE_string("tflite_path", "sparse.tflite", "Where the file goes.")
flags.DEFINE_bool("sparse", True, "Store zeros sparsely where that is sound.")


def main(_):
    common.check_writable(FLAGS.tflite_path)
    model = keras.saving.load_model(FLAGS.model_path)
    report = tf_admm.export.to_tflite(model, FLAGS.tflite_path, FLAGS.sparse)
    logging.info("\n%s", report)


if __name__ == "__main__":
    app.run(main)
