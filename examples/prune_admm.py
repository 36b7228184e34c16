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
import pictures
import tf_admm

FLAGS = flags.FLAGS
common.define_data_flags()
flags.DEFINE_string("model_path", "dense.keras", "The trained model.")
flags.DEFINE_list(
    "sparsity",
    [],
    "Fraction of zeros by layer, name=fraction,...; a name may be a regular "
    "expression.",
)
flags.DEFINE_string(
    "constraints",
    None,
    "JSON of the set of each layer, as tf_admm.Allocation writes it.",
)
flags.DEFINE_float(
    "ratio",
    None,
    "Weights over weights kept, of all kernels together, which compete for them.",
    lower_bound=1,
)
flags.DEFINE_enum(
    "metric",
    "curvature",
    ["curvature", "magnitude"],
    "What a weight is worth when kernels compete.",
)
flags.DEFINE_float(
    "kept_start",
    1,
    "As ADMM begins, what is kept over what is kept as it ends; falls as a cubic.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "rounds", 0, "How often weights come back and are pruned again.", lower_bound=0
)
flags.DEFINE_float(
    "regrowth",
    2,
    "How much comes back, over what is kept as ADMM ends.",
    lower_bound=0,
)
flags.DEFINE_enum(
    "augmentation",
    "none",
    list(datasets.AUGMENTATIONS),
    "What is done to the training images.",
)
flags.DEFINE_integer("admm_epochs", 30, "Epochs of ADMM.", lower_bound=1)
flags.DEFINE_integer("retrain_epochs", 10, "Epochs after it.", lower_bound=0)
flags.DEFINE_string(
    "update_freq", "epoch", "Steps from one Z and U update to the next."
)
flags.DEFINE_enum(
    "rho",
    "cosine",
    ["cosine", "auto"],
    "On half a cosine from --rho_start to --rho_end, or found as it runs.",
)
flags.DEFINE_float("rho_start", 1e-4, "rho as ADMM begins.", lower_bound=0)
flags.DEFINE_float("rho_end", 3e-3, "rho as it ends.", lower_bound=0)
flags.DEFINE_float("learning_rate", 1e-3, "Adam's, in ADMM.", lower_bound=0)
flags.DEFINE_float(
    "decay",
    1,
    "To what share of it the learning rate falls over ADMM, on half a cosine.",
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_float(
    "retrain_learning_rate",
    None,
    "Adam's in retraining, falling to 0; by default that of ADMM.",
    lower_bound=0,
)
flags.DEFINE_float(
    "l2", 5e-5, "L2 penalty of the kernels in the ADMM phase.", lower_bound=0
)
flags.DEFINE_float(
    "dropout",
    0.3,
    "Dropout rate in retraining; none before.",
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_enum(
    "method",
    "admm",
    ["admm", "oneshot", "gradual"],
    "admm, or magnitude pruning with all else equal: at once (rho = 0), or "
    "gradually over the first 75 % of the first phase.",
)
flags.mark_flags_as_mutual_exclusive(["constraints", "ratio"])
flags.register_validator(
    "sparsity",
    lambda entries: all(is_rate(entry) for entry in entries),
    "must be name=fraction,...",
)
flags.register_validator(
    "update_freq",
    lambda value: value in ("auto", "epoch") or value.isdigit(),
    "must be 'auto', 'epoch' or a number of steps",
)
flags.DEFINE_string("save_path", "sparse.keras", "Where the model goes.")
flags.DEFINE_string("history_path", None, "CSV of the training history.")
flags.DEFINE_string("picture_path", None, "PNG of the convergence.")
flags.DEFINE_string("report_path", None, "JSON of the results.")
flags.DEFINE_string("backup_dir", None, "Folder for going on after a kill.")


def constraints():
    """The sets of `--ratio`, of `--constraints`, or of `--sparsity`."""
    if FLAGS.ratio:
        return tf_admm.constraints.GlobalSparsity(1 - 1 / FLAGS.ratio, FLAGS.metric)
    if FLAGS.constraints:
        return tf_admm.Allocation.load(FLAGS.constraints)
    return {
        name: tf_admm.constraints.Sparsity(float(fraction))
        for name, _, fraction in (entry.rpartition("=") for entry in FLAGS.sparsity)
    }


def is_rate(entry):
    """Whether an entry of `--sparsity` is name=fraction."""
    name, _, fraction = entry.rpartition("=")
    try:
        float(fraction)
    except ValueError:
        return False
    return bool(name)


def schedule():
    if FLAGS.method == "admm" and FLAGS.rho == "auto":
        return tf_admm.schedules.get("auto")
    if FLAGS.method == "admm":
        return tf_admm.schedules.Cosine(FLAGS.rho_start, FLAGS.rho_end)
    return 0.0


def kept():
    return tf_admm.schedules.Cubic(FLAGS.kept_start)


def update_freq():
    return int(FLAGS.update_freq) if FLAGS.update_freq.isdigit() else FLAGS.update_freq


def set_phase(admm, l2, dropout):
    """L2 of the kernels, and dropout rate, for the next fit."""
    regularizer = keras.regularizers.L2(l2) if l2 else None
    for layer in admm.model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = dropout
        for weight in layer.trainable_weights:
            if weight.name == "kernel":
                weight.regularizer = regularizer


def fit(admm, data, epochs, initial_epoch, learning_rate, extra=()):
    """One of the two fits, each with a backup of its own."""
    train = datasets.Shuffled(
        *data.train, FLAGS.batch_size, FLAGS.seed, FLAGS.augmentation
    )
    admm.compile(
        keras.optimizers.Adam(learning_rate(train.steps)),
        common.loss(),
        metrics=["accuracy"],
        jit_compile=common.jit_compile(),
    )
    callbacks = [
        train,
        *extra,
        tf_admm.ADMMCallback(FLAGS.admm_epochs, update_freq(), FLAGS.rounds),
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
        for name, sparsity in constraints().items()
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


def check_flags():
    """What can be known to be wrong before any work."""
    common.check_model_path(FLAGS.save_path)
    common.check_writable(
        FLAGS.history_path,
        FLAGS.picture_path,
        FLAGS.report_path,
        FLAGS.backup_dir,
    )
    if FLAGS.picture_path and not FLAGS.history_path:
        raise ValueError(
            "Expected --history_path, which the picture is drawn from. "
            f"Received: only --picture_path={FLAGS.picture_path}"
        )
    if not (FLAGS.constraints or FLAGS.sparsity or FLAGS.ratio):
        raise ValueError(
            "Expected --sparsity, --ratio or --constraints. Received: none of them"
        )
    if FLAGS.method == "gradual" and FLAGS.constraints:
        raise ValueError(
            "Expected --sparsity or --ratio, which the gradual schedule grows. "
            f"Received: --method=gradual, --constraints={FLAGS.constraints}"
        )


def start_afresh():
    """An old history belongs to an old run, unless there is a backup of it."""
    resuming = FLAGS.backup_dir and os.path.isdir(FLAGS.backup_dir)
    if FLAGS.history_path and not resuming and os.path.exists(FLAGS.history_path):
        os.remove(FLAGS.history_path)


def dense_accuracy(data):
    """Test accuracy of the model that the pruning began with."""
    return common.accuracy(keras.saving.load_model(FLAGS.model_path), *data.test)


def record(admm, data, cut, seconds):
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
        "dense_test": dense_accuracy(data),
        "seconds": round(seconds),
        "backend": keras.config.backend(),
    }


def main(_):
    check_flags()
    start_afresh()
    start = time.time()
    keras.utils.set_random_seed(FLAGS.seed)
    data = datasets.load(FLAGS.dataset, FLAGS.data_path)
    model = keras.saving.load_model(FLAGS.model_path)
    admm = tf_admm.ADMMModel(
        model,
        constraints(),
        schedule(),
        kept(),
        regrowth=FLAGS.regrowth if FLAGS.rounds else 0.0,
    )
    cut = prune(admm, data)
    common.save_model(admm.model, FLAGS.save_path)
    results = record(admm, data, cut, time.time() - start)
    if FLAGS.report_path:
        common.save_json(results, FLAGS.report_path)
    if FLAGS.picture_path:
        pictures.convergence(FLAGS.history_path, FLAGS.picture_path)
    if FLAGS.backup_dir:
        shutil.rmtree(FLAGS.backup_dir)


if __name__ == "__main__":
    common.run(main)
