"""What `prune_admm.py` is asked for: its flags, and what they come to."""

import keras
from absl import flags

import common
import datasets
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
flags.DEFINE_float(
    "teacher_weight",
    0,
    "Share of the loss that compares with the outputs of --model_path, before it is "
    "pruned; the labels have the rest.",
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_float(
    "temperature", 2, "What these outputs are divided by.", lower_bound=0.1
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


def check():
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


def check_dropout(model):
    """A layer that was made without dropout has no seed to draw it from."""
    layers = [x for x in model.layers if isinstance(x, keras.layers.Dropout)]
    if FLAGS.dropout and any(layer.rate == 0 for layer in layers):
        raise ValueError(
            "Expected a network with dropout, or --dropout=0. Received: "
            f"--dropout={FLAGS.dropout}, and a network that was made with --dropout=0"
        )
