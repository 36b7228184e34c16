"""Gradual magnitude pruning by tfmot itself, from the same dense network.

    python benchmarks/tfmot_gradual.py --flagfile=examples/recipes/lenet5_short.flags \
        --model_path=dense.keras --data_path=mnist.npz \
        --sparsity=conv1=0.8,conv2=0.92,fc1=0.991,fc2=0.93 --report_path=tfmot.json

The epochs, batches, learning rates and dropout of the recipe; tfmot's own schedule
(cubic, over the first 75 % of the first phase) and its own training loop in tf_keras.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))

import keras  # noqa: E402
import numpy as np  # noqa: E402
from absl import flags  # noqa: E402

import common  # noqa: E402
import datasets  # noqa: E402
import options  # noqa: E402
import tf_admm  # noqa: E402

FLAGS = flags.FLAGS
#: Steps of the optimizer from one mask to the next at most, tfmot's default.
FREQUENCY = 100


def wrapped(model, rates, end_step):
    """The tf_keras model, with tfmot's wrapper around the layers to prune."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    pruning = tfmot.sparsity.keras

    def wrap(layer):
        if layer.name not in rates:
            return layer
        schedule = pruning.PolynomialDecay(
            0.0,
            rates[layer.name],
            0,
            end_step,
            frequency=min(FREQUENCY, max(1, end_step // 10)),
        )
        return pruning.prune_low_magnitude(layer, schedule)

    return tf_keras.models.clone_model(model, clone_function=wrap)


class Dropout:
    """Sets the rate of all dropout layers."""

    def __init__(self, model):
        import tf_keras

        layers = [getattr(layer, "layer", layer) for layer in model.layers]
        self._layers = [x for x in layers if isinstance(x, tf_keras.layers.Dropout)]

    def set(self, rate):
        for layer in self._layers:
            layer.rate = rate


def fit(model, data, first, last, learning_rate, share):
    """One phase, `first` to `last` epochs, the learning rate on half a cosine."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    train = datasets.Shuffled(
        *data.train, FLAGS.batch_size, FLAGS.seed, FLAGS.augmentation
    )
    decay = tf_keras.optimizers.schedules.CosineDecay(
        learning_rate, train.steps * (last - first), alpha=share
    )
    model.compile(
        tf_keras.optimizers.Adam(decay),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    order = tf_keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: train.on_epoch_begin(epoch)
    )
    model.fit(
        of_tensorflow(train.batches),
        epochs=last,
        initial_epoch=first,
        verbose=2,
        validation_data=data.validation,
        callbacks=[order, tfmot.sparsity.keras.UpdatePruningStep()],
    )


def of_tensorflow(batches):
    """The same batches for Keras 2, in which they are no data set."""
    import tensorflow as tf

    x, y = batches[0]
    specs = [tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in (x, y)]
    made = tf.data.Dataset.from_generator(
        lambda: (batches[i] for i in range(len(batches))), output_signature=tuple(specs)
    )
    return made.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2)


def main(_):
    keras.utils.set_random_seed(FLAGS.seed)
    data = datasets.load(FLAGS.dataset, FLAGS.data_path)
    dense = keras.saving.load_model(FLAGS.model_path)
    steps = -(-len(data.train[0]) // FLAGS.batch_size) * FLAGS.admm_epochs
    rates = {n: s.sparsity for n, s in options.constraints().items()}
    model = wrapped(tf_admm.export.to_tf_keras(dense), rates, round(0.75 * steps))
    dropout = Dropout(model)
    dropout.set(0.0)
    fit(model, data, 0, FLAGS.admm_epochs, FLAGS.learning_rate, FLAGS.decay)
    dropout.set(FLAGS.dropout)
    epochs = FLAGS.admm_epochs + FLAGS.retrain_epochs
    rate = FLAGS.retrain_learning_rate or FLAGS.learning_rate
    fit(model, data, FLAGS.admm_epochs, epochs, rate, 0.0)
    _, validation = model.evaluate(*data.validation, verbose=0)
    _, test = model.evaluate(*data.test, verbose=0)
    import tensorflow_model_optimization as tfmot

    stripped = tfmot.sparsity.keras.strip_pruning(model)
    kernels = {x.name: x.kernel.numpy() for x in stripped.layers if x.name in rates}
    total = sum(w.size for w in kernels.values())
    kept = {name: int(np.count_nonzero(w)) for name, w in kernels.items()}
    record = {
        "method": "tfmot",
        "seed": FLAGS.seed,
        "epochs": [FLAGS.admm_epochs, FLAGS.retrain_epochs],
        "kept": kept,
        "live": {
            name: int((w != 0).any(axis=tuple(range(w.ndim - 1))).sum())
            for name, w in kernels.items()
        },
        "ratio": total / sum(kept.values()),
        "validation": validation,
        "test": test,
        "dense_test": common.accuracy(dense, *data.test),
    }
    common.save_json(record, FLAGS.report_path)


if __name__ == "__main__":
    common.run(main)
