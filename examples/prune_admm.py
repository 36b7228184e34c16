"""Prune a trained model by ADMM, retrain what is kept, and report.

    python prune_admm.py --flagfile=recipes/lenet5_71x.flags

Two fits, since dropout and weight decay differ between the phases. Started
again after a kill with the same --backup_dir, it goes on where it was.
"""

import os
import shutil
import time

import keras
from absl import flags
from absl import logging

import baselines
import common
import datasets
import options
import pictures
import teaching
import tf_admm

FLAGS = flags.FLAGS


def set_phase(admm, l2, dropout):
    """L2 of the kernels, and dropout rate, for the next fit."""
    regularizer = keras.regularizers.L2(l2) if l2 else None
    for layer in admm.model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = dropout
        for weight in layer.trainable_weights:
            if weight.name == "kernel":
                weight.regularizer = regularizer


def loss_and_metric():
    """What `compile` is given, for the labels alone or a teacher beside them."""
    if FLAGS.teacher_weight:
        loss = teaching.TaughtCrossentropy(FLAGS.teacher_weight, FLAGS.temperature)
        return loss, teaching.accuracy
    return common.loss(), "accuracy"


def fit(admm, data, epochs, initial_epoch, learning_rate, extra=()):
    """One of the two fits, each with a backup of its own."""
    train = datasets.Shuffled(
        *data.train, FLAGS.batch_size, FLAGS.seed, FLAGS.augmentation
    )
    loss, metric = loss_and_metric()
    admm.compile(
        keras.optimizers.Adam(learning_rate(train.steps)),
        loss,
        metrics=[metric],
        jit_compile=common.jit_compile(),
    )
    callbacks = [
        train,
        *extra,
        tf_admm.ADMMCallback(FLAGS.admm_epochs, options.update_freq(), FLAGS.rounds),
    ]
    if FLAGS.history_path:
        callbacks.append(keras.callbacks.CSVLogger(FLAGS.history_path, append=True))
    if FLAGS.backup_dir:
        callbacks.append(
            keras.callbacks.BackupAndRestore(
                os.path.join(FLAGS.backup_dir, f"until_epoch_{epochs}"),
                double_checkpoint=True,
                delete_checkpoint=False,
            )
        )
    admm.fit(
        train.batches,
        epochs=epochs,
        initial_epoch=initial_epoch,
        shuffle=False,
        validation_data=data.validation,
        callbacks=callbacks,
    )


def gradual(admm, data):
    """The magnitude baseline's callback, over the first 75 % of the phase."""
    if FLAGS.method != "gradual":
        return []
    if FLAGS.ratio:
        return [baselines.Masked()]
    steps = -(-len(data.train[0]) // FLAGS.batch_size) * FLAGS.admm_epochs
    weights = [
        (admm.model.get_layer(name).kernel, sparsity)
        for name, sparsity in options.constraints().items()
    ]
    return [baselines.GradualMagnitude(weights, round(0.75 * steps), 200)]


def prune(admm, data):
    """The two fits. Returns the validation accuracy between them."""
    set_phase(admm, FLAGS.l2, dropout=0.0)
    fit(
        admm,
        data,
        FLAGS.admm_epochs,
        0,
        lambda steps: common.cosine(
            FLAGS.learning_rate, steps * FLAGS.admm_epochs, FLAGS.decay
        ),
        gradual(admm, data),
    )
    _, cut = admm.evaluate(*data.validation, verbose=0)
    set_phase(admm, 0.0, FLAGS.dropout)
    if FLAGS.retrain_epochs:
        fit(
            admm,
            data,
            FLAGS.admm_epochs + FLAGS.retrain_epochs,
            FLAGS.admm_epochs,
            lambda steps: common.cosine(
                FLAGS.retrain_learning_rate or FLAGS.learning_rate,
                steps * FLAGS.retrain_epochs,
            ),
        )
    return cut


def start_afresh():
    """An old history belongs to an old run, unless there is a backup of it."""
    resuming = FLAGS.backup_dir and os.path.isdir(FLAGS.backup_dir)
    if FLAGS.history_path and not resuming and os.path.exists(FLAGS.history_path):
        os.remove(FLAGS.history_path)


def dense_accuracy(data):
    """Test accuracy of the model that the pruning began with."""
    return common.accuracy(keras.saving.load_model(FLAGS.model_path), *data.test)


def record(admm, data, cut, dense_test, seconds):
    """What the run came to; the only use of the test set."""
    summary = tf_admm.summary(admm.model)
    _, validation = admm.evaluate(*data.validation, verbose=0)
    _, test = admm.evaluate(*data.test, verbose=0)
    logging.info("Accuracy: validation %.4f, test %.4f", validation, test)
    return {
        "method": FLAGS.method,
        "seed": FLAGS.seed,
        "epochs": [FLAGS.admm_epochs, FLAGS.retrain_epochs],
        "kept": {row.path: row.kept for row in summary.rows},
        "live": {row.path: row.live for row in summary.rows},
        "ratio": summary.ratio,
        "parameter_ratio": summary.parameter_ratio,
        "validation_before_retraining": cut,
        "validation": validation,
        "test": test,
        "dense_test": dense_test,
        "seconds": round(seconds),
        "backend": keras.config.backend(),
    }


def main(_):
    options.check()
    start_afresh()
    start = time.time()
    keras.utils.set_random_seed(FLAGS.seed)
    data = datasets.load(FLAGS.dataset, FLAGS.data_path)
    model = keras.saving.load_model(FLAGS.model_path)
    options.check_dropout(model)
    admm = tf_admm.ADMMModel(
        model,
        options.constraints(),
        options.schedule(),
        options.kept(),
        regrowth=FLAGS.regrowth if FLAGS.rounds else 0.0,
    )
    dense_test = dense_accuracy(data)
    if FLAGS.teacher_weight:
        data = teaching.taught(data, model)
    cut = prune(admm, data)
    common.save_model(admm.model, FLAGS.save_path)
    results = record(admm, data, cut, dense_test, time.time() - start)
    if FLAGS.report_path:
        common.save_json(results, FLAGS.report_path)
    if FLAGS.picture_path:
        pictures.convergence(FLAGS.history_path, FLAGS.picture_path)
    if FLAGS.backup_dir:
        shutil.rmtree(FLAGS.backup_dir)


if __name__ == "__main__":
    common.run(main)
