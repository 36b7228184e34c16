"""Flags and files that the scripts share."""

import contextlib
import json
import os

import keras
from absl import app
from absl import flags

FLAGS = flags.FLAGS


def run(main):
    """`app.run`, for scripts that take flags only."""

    def checked(argv):
        if argv[1:]:
            raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
        main(argv)

    app.run(checked)


def define_data_flags():
    flags.DEFINE_enum("dataset", "digits", ["digits", "mnist", "cifar10"], "Data set.")
    flags.DEFINE_string(
        "data_path",
        None,
        "An .npz file with x_train, y_train, x_test, y_test; wins over --dataset.",
    )
    flags.DEFINE_integer("batch_size", 128, "Images a step.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Seed of all that is random.")
    flags.DEFINE_bool(
        "jit_compile",
        None,
        "Compile the step by XLA; by default on JAX alone. With TensorFlow on a CPU "
        "these networks run about twice as fast without.",
    )


def jit_compile():
    """What `compile` is given as `jit_compile`."""
    on_jax = keras.config.backend() == "jax"
    return on_jax if FLAGS.jit_compile is None else FLAGS.jit_compile


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def accuracy(model, x, y):
    """Of a plain Keras model, which is compiled anew."""
    model.compile(loss=loss(), metrics=["accuracy"], jit_compile=jit_compile())
    return model.evaluate(x, y, verbose=0)[1]


def cosine(learning_rate, steps, share=0.0):
    """Learning rate from `learning_rate` to a share of it on half a cosine."""
    return keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=share)


@contextlib.contextmanager
def replacing(path):
    """A temporary name beside `path`, renamed to it if all went well."""
    temporary = os.path.join(
        os.path.dirname(path), f".{os.getpid()}-{os.path.basename(path)}"
    )
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def check_writable(*paths):
    """Raise, before any work, if a file could not be written."""
    for path in filter(None, paths):
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise ValueError(
                f"Expected a path in a folder that can be written. Received: {path}"
            )


def check_model_path(path):
    """Raise, before any work, if no model could be saved there."""
    check_writable(path)
    if os.path.isdir(path) or not path.endswith(".keras"):
        raise ValueError(
            f"Expected the name of a .keras file for the model. Received: {path}"
        )


def save_model(model, path):
    """Save a plain Keras model, without what it was compiled with."""
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    with replacing(path) as temporary:
        bare.save(temporary)


def save_json(record, path):
    with replacing(path) as temporary, open(temporary, "w") as file:
        json.dump(record, file, indent=1)
        file.write("\n")
