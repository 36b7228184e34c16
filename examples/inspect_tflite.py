"""What a TFLite file stores: each constant's shape, encoding, bytes and zeros.

python inspect_tflite.py --tflite_path=sparse.tflite
"""

from absl import flags
from rich.console import Console

import common
import tf_admm

FLAGS = flags.FLAGS
flags.DEFINE_string("tflite_path", "sparse.tflite", "The file.")


def main(_):
    Console().print(tf_admm.export.inspect(FLAGS.tflite_path))


if __name__ == "__main__":
    common.run(main)
