"""What a pruned model comes to as each of several files, measured.

python report.py --model_path=sparse.keras --dataset=mnist --html_path=report.html

The page has the training in it, too, with --history_path=history.csv.
"""

import keras
from absl import flags

import common
import datasets
import tf_admm

FLAGS = flags.FLAGS
common.define_data_flags()
flags.DEFINE_string("model_path", "sparse.keras", "The pruned model.")
flags.DEFINE_string("html_path", None, "Where the page goes.")
flags.DEFINE_string(
    "history_path", None, "CSV of the training, as `prune_admm.py` writes it."
)
flags.DEFINE_float(
    "max_drop", 0.005, "What the metric of the file to ship may lose.", lower_bound=0.0
)
flags.DEFINE_integer("representative", 200, "Training images for int8.", lower_bound=1)


def main(_):
    common.check_writable(FLAGS.html_path)
    data = datasets.load(FLAGS.dataset, FLAGS.data_path)
    tf_admm.report(
        keras.saving.load_model(FLAGS.model_path),
        data=data.test,
        representative=data.train[0][: FLAGS.representative],
        html=FLAGS.html_path,
        history=FLAGS.history_path,
        max_drop=FLAGS.max_drop,
    )


if __name__ == "__main__":
    common.run(main)
