"""Train the dense network that is pruned later.

python train_dense.py --flagfile=recipes/lenet5_dense.flags
"""

import keras
from absl import flags
from absl import logging

import common
import datasets
import models

FLAGS = flags.FLAGS
common.define_data_flags()
flags.DEFINE_enum("model", "lenet5", list(models.MODELS), "Network.")
flags.DEFINE_integer("epochs", 12, "Epochs.", lower_bound=1)
flags.DEFINE_float(
    "learning_rate", 1e-3, "Adam's, at the start; falls to 0.", lower_bound=0
)
flags.DEFINE_float(
    "dropout",
    0.5,
    "Dropout behind the first dense layer.",
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_string("save_path", "dense.keras", "Where the model goes.")


def main(_):
    common.check_model_path(FLAGS.save_path)
    keras.utils.set_random_seed(FLAGS.seed)
    data = datasets.load(FLAGS.dataset, FLAGS.data_path)
    x, y = data.train
    train = datasets.Shuffled(x, y, FLAGS.batch_size, FLAGS.seed)
    model = models.MODELS[FLAGS.model](x.shape[1:], int(y.max()) + 1, FLAGS.dropout)
    steps = train.steps * FLAGS.epochs
    model.compile(
        keras.optimizers.Adam(common.cosine(FLAGS.learning_rate, steps)),
        common.loss(),
        metrics=["accuracy"],
        jit_compile=common.jit_compile(),
    )
    model.fit(
        train.batches,
        epochs=FLAGS.epochs,
        shuffle=False,
        validation_data=data.validation,
        callbacks=[train],
    )
    common.save_model(model, FLAGS.save_path)
    _, accuracy = model.evaluate(*data.test, verbose=0)
    logging.info("Test accuracy of %s: %.4f", FLAGS.save_path, accuracy)


if __name__ == "__main__":
    common.run(main)
