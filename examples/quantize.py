"""Quantisation-aware training of a pruned model, to a checked int8 TFLite file.

    python quantize.py --model_path=sparse.keras --tflite_path=int8.tflite

tfmot's prune-preserving training, in tf_keras; no zero is lost.
"""

import keras
from absl import flags
from absl import logging

import common
import datasets
import evaluate_tflite
import tf_admm

FLAGS = flags.FLAGS
flags.DEFINE_string("model_path", "sparse.keras", "The pruned model.")
flags.DEFINE_integer("epochs", 3, "Epochs of training.", lower_bound=1)
flags.DEFINE_float("learning_rate", 1e-4, "Adam's; falls to 0.", lower_bound=0)


def training(data):
    """The function that trains the model as tf_keras has it."""

    def train(model):
        import tf_keras

        x, y = data.train
        steps = -(-len(x) // FLAGS.batch_size) * FLAGS.epochs
        rate = tf_keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, steps)
        model.compile(
            tf_keras.optimizers.Adam(rate),
            tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=common.jit_compile(),
        )
        model.fit(
            x,
            y,
            FLAGS.batch_size,
            FLAGS.epochs,
            validation_data=data.validation,
        )

    return train


def main(_):
    common.check_writable(FLAGS.tflite_path)
    keras.utils.set_random_seed(FLAGS.seed)
    data = datasets.load(FLAGS.dataset, FLAGS.data_path)
    model = keras.saving.load_model(FLAGS.model_path)
    report, _ = tf_admm.export.to_int8_by_training(
        model, FLAGS.tflite_path, training(data)
    )
    logging.info("\n%s", report)
    x, y = data.test
    before = common.accuracy(model, x, y)
    after = evaluate_tflite.accuracy(FLAGS.tflite_path, x, y, FLAGS.batch_size)
    logging.info("Test accuracy: float32 %.4f, int8 %.4f", before, after)


if __name__ == "__main__":
    common.run(main)
