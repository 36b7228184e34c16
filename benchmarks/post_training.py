"""Pruning without labels or training, beside projections by magnitude and by Wanda.

    python benchmarks/post_training.py --data_path=mnist.npz --cifar_path=cifar10.npz \
        --work_dir=runs

prunes trained networks on 256 training inputs, and prints the test accuracy: LeNet-5 on
MNIST, ResNet-8 on CIFAR-10, and keras-hub's BERT (two layers of 64, trained here for a
minute) on scikit-learn's digits as 64 tokens of 17 kinds. Wanda keeps, of each output,
the weights of largest |w| times the norm of their input; magnitudes compete within each
kernel. 2:4 is on dense layers only. Results: `benchmarks/results/post_training.json`.
"""

import json
import os
import sys
import time

import keras
import mnist
import numpy as np
from absl import app
from absl import flags
from rich.console import Console
from rich.table import Table

import tf_admm
from tf_admm import constraints
from tf_admm.post_training import problem
from tf_admm.post_training.watching import watched
from tf_admm.structure import kernels

sys.path.insert(0, str(mnist.ROOT / "examples"))

import datasets  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string("cifar_path", None, "cifar10.npz, in Keras' layout.")
SAMPLES = 256
SETS = {
    "50 %": constraints.Sparsity(0.5),
    "70 %": constraints.Sparsity(0.7),
    "80 %": constraints.Sparsity(0.8),
    "2:4": constraints.NMSparsity(2, 4),
}
RESULTS = mnist.RESULTS / "post_training.json"


def lenet5():
    path = mnist.dense("lenet5_dense", 0)
    return keras.saving.load_model(path), datasets.load("mnist", FLAGS.data_path)


def resnet8():
    path = mnist.dense("resnet8_dense", 0, data_path=FLAGS.cifar_path)
    return keras.saving.load_model(path), datasets.load("cifar10", FLAGS.cifar_path)


def bert():
    """Trained on the digits as sequences, once for all rows."""
    import keras_hub

    keras.utils.set_random_seed(0)
    data = datasets.load("digits")
    data = datasets.Data(*((_tokens(x), y) for x, y in _parts(data)))
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=17,
        num_layers=2,
        num_heads=4,
        hidden_dim=64,
        intermediate_dim=128,
        max_sequence_length=64,
    )
    y = keras.layers.Dense(10)(backbone.output["pooled_output"])
    model = keras.Model(backbone.input, y)
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    model.fit(*data.train, epochs=25, batch_size=64, verbose=0)
    return model, data


def _parts(data):
    return data.train, data.validation, data.test


def _tokens(x):
    """28 x 28 images of 8 x 8 blocks of 3, back to 64 numbers from 0 to 16."""
    tokens = np.rint(16 * x[:, 3:26:3, 3:26:3, 0]).astype("int32").reshape(-1, 64)
    ones = np.ones_like(tokens)
    return {"token_ids": tokens, "padding_mask": ones, "segment_ids": 0 * ones}


NETWORKS = {"LeNet-5": lenet5, "ResNet-8": resnet8, "BERT": bert}


def accuracy(model, data):
    x, y = data.test
    found = model.predict(x, batch_size=500, verbose=0).argmax(-1)
    return float(np.mean(found == y))


def allowed(set_, kernel):
    """2:4 on what is multiplied as a matrix with inputs in fours."""
    is_matrix = len(kernel.shape) == 2 and kernel.shape[0] % 4 == 0
    return set_ if not isinstance(set_, constraints.NMSparsity) or is_matrix else None


def by_magnitude(model, set_, samples):
    admm = tf_admm.ADMMModel(model, lambda kernel: allowed(set_, kernel), rho=0.0)
    admm.finalize()


def by_wanda(model, set_, samples):
    """Masks by |w| times the norm of the input, of the dense model; no weight moves."""
    found = [k for k in kernels.find(model) if not k.by_name_only]
    calls = {id(kernel.layer): [] for kernel in found}
    layers = [kernel.layer for kernel in found]
    with watched(layers, lambda layer, x: calls[id(layer)].append(problem.numbers(x))):
        model(samples, training=False)
    for kernel in filter(lambda kernel: allowed(set_, kernel), found):
        seen = calls[id(kernel.layer)]
        of = problem.Problem(
            kernel, kernel.variable, *problem.products(kernel, seen, seen)
        )
        worth = np.abs(of.w * of.scales)
        if isinstance(set_, constraints.NMSparsity):
            mask = of.split(set_.mask(of.joined(worth)))
        else:
            inputs = worth.shape[1]
            kept = inputs - round(set_.sparsity * inputs)
            mask = np.argsort(np.argsort(-worth, axis=1), axis=1) < kept
        kernel.variable.assign(of.joined(of.w * mask))


def by_admm(model, set_, samples):
    tf_admm.prune_post_training(
        model, samples, lambda kernel: allowed(set_, kernel), verbose=0
    )


METHODS = {"magnitude": by_magnitude, "Wanda": by_wanda, "ADMM": by_admm}


def measured(make):
    """Accuracies and seconds of one network."""
    model, data = make()
    trained = model.get_weights()
    samples = keras.tree.map_structure(lambda x: x[:SAMPLES], data.train[0])
    rows = {"dense": {"test": accuracy(model, data)}}
    for set_name, set_ in SETS.items():
        for method, prune in METHODS.items():
            model.set_weights(trained)
            start = time.monotonic()
            prune(model, set_, samples)
            seconds = time.monotonic() - start
            rows[f"{set_name} {method}"] = {
                "test": accuracy(model, data),
                "seconds": round(seconds, 1),
            }
    return rows


def table(results):
    result = Table(title=f"Test accuracy by {SAMPLES} inputs, %")
    for column in ("network", "set", "dense", *METHODS, "seconds"):
        result.add_column(column, justify="right")
    for network, rows in results.items():
        for set_name in SETS:
            found = [rows[f"{set_name} {method}"] for method in METHODS]
            accuracies = [f"{100 * row['test']:.2f}" for row in found]
            dense = f"{100 * rows['dense']['test']:.2f}"
            seconds = f"{found[-1]['seconds']:.1f}"
            result.add_row(network, set_name, dense, *accuracies, seconds)
    return result


def main(_):
    os.makedirs(FLAGS.work_dir, exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, make in NETWORKS.items():
        if name not in results and not FLAGS.print_only:
            results[name] = measured(make)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    Console(width=100).print(table(results))


if __name__ == "__main__":
    app.run(main)
