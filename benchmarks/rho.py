"""`rho="auto"` beside fixed ones, on tasks with nothing in common.

    python benchmarks/rho.py

Networks that train in seconds, on scikit-learn's data: each is pruned by one number,
`ADMMModel(model, sparsity=...)`, with each rho, from three dense trainings. Prints the
mean loss on the test part, over that of the best fixed rho, and the accuracy; a picture
goes to `benchmarks/rho.png`, the numbers to `benchmarks/results/rho.json`.
"""

import json
import pathlib
import warnings

import keras
import numpy as np
from absl import app
from absl import flags
from keras import layers as L
from rich.console import Console
from rich.table import Table

import tf_admm

FLAGS = flags.FLAGS
flags.DEFINE_bool("print_only", False, "Print the table of what is there.")
FOLDER = pathlib.Path(__file__).resolve().parent
RESULTS = FOLDER / "results" / "rho.json"
RHOS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, "auto")
SEEDS = range(3)
OPTIMIZERS = keras.optimizers
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def split(x, y, seed):
    rows = np.random.default_rng(seed).permutation(len(x))
    test = len(x) // 5
    return (x[rows[test:]], y[rows[test:]]), (x[rows[:test]], y[rows[:test]])


def standard(x):
    return ((x - x.mean(0)) / (x.std(0) + 1e-6)).astype("float32")


def digits():
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def mlp():
    x, y = digits()
    stack = [L.Dense(300, "relu"), L.Dense(100, "relu"), L.Dense(10)]
    return (
        x.astype("float32") / 16,
        y,
        stack,
        CROSS_ENTROPY,
        OPTIMIZERS.Adam(1e-3),
        0.97,
        24,
    )


def convnet():
    x, y = digits()
    x = x.reshape(-1, 8, 8, 1).astype("float32") / 16
    stack = [
        L.Conv2D(16, 3, padding="same", use_bias=False), L.BatchNormalization(),
        L.ReLU(), L.Conv2D(32, 3, activation="relu"), L.MaxPooling2D(), L.Flatten(),
        L.Dense(64, "relu"), L.Dense(10),
    ]  # fmt: skip
    return x, y, stack, CROSS_ENTROPY, OPTIMIZERS.SGD(0.05, momentum=0.9), 0.9, 24


def tokens():
    x, y = digits()
    stack = [L.Embedding(17, 16), L.GRU(48), L.Dense(10)]
    return x.astype("int32"), y, stack, CROSS_ENTROPY, OPTIMIZERS.Adam(5e-3), 0.8, 18


def regression():
    """Targets in their own units: a loss of thousands."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    stack = [L.Dense(64, "tanh"), L.Dense(32, "tanh"), L.Dense(1)]
    y = y[:, None].astype("float32")
    return standard(x), y, stack, "mse", OPTIMIZERS.Adam(1e-2), 0.8, 60


def yes_or_no():
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    stack = [L.Dense(64, "swish"), L.Dense(64, "swish"), L.Dense(1)]
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    y = y[:, None].astype("float32")
    return standard(x), y, stack, loss, OPTIMIZERS.RMSprop(1e-3), 0.95, 60


TASKS = {
    "digits, MLP, Adam": mlp,
    "digits, convnet, SGD": convnet,
    "digits, GRU, Adam": tokens,
    "diabetes, regression": regression,
    "cancer, RMSprop": yes_or_no,
}


def measured(task, seed):
    """Test loss by rho, and of the dense network."""
    keras.utils.set_random_seed(seed)
    x, y, stack, loss, optimizer, sparsity, epochs = task()
    train, test = split(x, y, seed)
    model = keras.Sequential([keras.Input(x.shape[1:]), *stack])
    model.compile(
        type(optimizer).from_config(optimizer.get_config()), loss, jit_compile=False
    )
    model.fit(*train, epochs=epochs, batch_size=32, verbose=0)
    dense = model.get_weights()
    found = {"dense": model.evaluate(*test, verbose=0)}
    for rho in RHOS:
        model.set_weights(dense)
        admm = tf_admm.ADMMModel(model, sparsity=sparsity, rho=rho)
        admm.compile(
            type(optimizer).from_config(optimizer.get_config()), loss, jit_compile=False
        )
        with warnings.catch_warnings():
            # That some rho is too small is what is measured.
            warnings.simplefilter("ignore", UserWarning)
            admm.fit(
                *train,
                epochs=epochs,
                batch_size=32,
                verbose=0,
                callbacks=[tf_admm.ADMMCallback()],
            )
        found[str(rho)] = admm.evaluate(*test, verbose=0)
    return found


def means(runs):
    return {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}


def table(results):
    result = Table(title="Test loss by rho, mean of three seeds")
    for column in ("task", "dense", *map(str, RHOS), "auto / best fixed"):
        result.add_column(column, justify="right")
    for task, runs in results.items():
        mean = means(runs)
        best = min(mean[str(rho)] for rho in RHOS[:-1])
        ratio = f"{mean['auto'] / best:.2f}"
        result.add_row(task, *(f"{v:.4g}" for v in mean.values()), ratio)
    return result


def picture(results):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4.5))
    for task, runs in results.items():
        mean = means(runs)
        fixed = [mean[str(rho)] for rho in RHOS[:-1]]
        (line,) = axis.plot(
            RHOS[:-1], np.array(fixed) / min(fixed), marker="o", label=task
        )
        auto = mean["auto"] / min(fixed)
        axis.axhline(auto, color=line.get_color(), linestyle=":")
    axis.set(xscale="log", yscale="log", xlabel="rho")
    axis.set_ylabel("test loss over that of the best fixed rho")
    axis.set_title('Fixed rho (solid) and rho="auto" (dotted)')
    axis.legend()
    figure.tight_layout()
    figure.savefig(FOLDER / "rho.png", dpi=120)


def main(_):
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, task in TASKS.items():
        if name not in results and not FLAGS.print_only:
            results[name] = [measured(task, seed) for seed in SEEDS]
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    Console(width=120).print(table(results))
    picture(results)


if __name__ == "__main__":
    app.run(main)
