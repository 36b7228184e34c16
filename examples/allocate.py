"""One budget for a model, made into a constraint for each kernel.

    python allocate.py --model_path=dense.keras --ratio=71.2 --method=sensitivity

writes the JSON that `prune_admm.py --constraints` takes. The losses are measured
on the validation part.
"""

import keras
from absl import flags

import common
import datasets
import tf_admm

FLAGS = flags.FLAGS
common.define_data_flags()
flags.DEFINE_string("model_path", "dense.keras", "The trained model.")
flags.DEFINE_string("allocation_path", "allocation.json", "Where the table goes.")
flags.DEFINE_float("ratio", None, "Weights of all kernels over those kept.")
flags.DEFINE_integer("nonzeros", None, "Weights kept.")
flags.DEFINE_integer("bytes", None, "Bytes of the kernels in a TFLite file.")
flags.DEFINE_integer("macs", None, "Multiplications of one sample.")
flags.DEFINE_enum(
    "structure",
    "weights",
    ["weights", "channels"],
    "Single weights of each kernel, or channels of each group.",
)
flags.DEFINE_string("method", "sensitivity", "uniform, erk, magnitude or sensitivity.")
flags.DEFINE_list("exclude", [], "Layers to leave alone.")
flags.DEFINE_string("cache", None, "File for the losses that sensitivity measures.")


def main(_):
    common.check_writable(FLAGS.allocation_path, FLAGS.cache)
    model = keras.saving.load_model(FLAGS.model_path)
    model.compile(loss=common.loss(), jit_compile=common.jit_compile())
    data = datasets.load(FLAGS.dataset, FLAGS.data_path)
    allocation = tf_admm.allocate(
        model,
        ratio=FLAGS.ratio,
        nonzeros=FLAGS.nonzeros,
        bytes=FLAGS.bytes,
        macs=FLAGS.macs,
        structure=FLAGS.structure,
        method=FLAGS.method,
        exclude=FLAGS.exclude,
        data=data.validation,
        cache=FLAGS.cache,
    )
    allocation.save(FLAGS.allocation_path)


if __name__ == "__main__":
    common.run(main)
