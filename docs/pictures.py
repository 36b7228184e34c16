"""The pictures of the documentation, from the committed results.

    python docs/pictures.py --history_path=demo/history.csv

`make demo` leaves the history; without it that picture is left as it is.
"""

import csv
import json
import pathlib
import statistics

import matplotlib
from absl import app
from absl import flags
from matplotlib.figure import Figure

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE.parent / "benchmarks" / "results"
OUT = HERE / "pictures"
#: Colours that are told apart by the colour-blind, too (Okabe and Ito).
COLOURS = {
    "ADMM": "#0072B2",
    "gradual magnitude": "#E69F00",
    "one-shot magnitude": "#999999",
    "Wanda": "#E69F00",
    "tfmot": "#E69F00",
    "magnitude": "#999999",
}
#: Of the first picture: names of runs, and what they are.
RUNS = {
    "admm": "ADMM",
    "gradual": "gradual magnitude",
    "oneshot": "one-shot magnitude",
}
RATIOS = {"lenet5_71x": 71.2, "lenet5_169x": 168.8}
#: Runs with shifted images and one ratio, by ratio.
SHIFTED = {71.2: "71x_130", 168.8: "169x_130", 350: "350x_300"}

#: Epochs in all of the runs of the third picture, and what they are.
EPOCHS = (5, 10, 15, 30, 60)
SHORT = {"admm": "ADMM", "tfmot": "tfmot"}

#: Scores of the picture of rho, and their colours.
SCORES = {"curvature": "#0072B2", "magnitude": "#999999"}
#: Its panels, and what their axes are of.
TITLES = {
    "lenet5_71x": "LeNet-5 at 71x, MNIST test accuracy, %",
    "resnet8_10x": "ResNet-8 at 10x, CIFAR-10 test accuracy, %",
}

FLAGS = flags.FLAGS
flags.DEFINE_string("history_path", None, "CSV of a run, for the convergence.")


def test_of(pattern):
    """Test accuracies of the runs whose names match, in percent."""
    found = sorted(RESULTS.glob(f"{pattern}.json"))
    return [100 * json.loads(path.read_text())["test"] for path in found]


def dense():
    """The mean of the dense networks of three seeds, in percent."""
    found = RESULTS.glob("records_lenet5_71x_15_admm_?.json")
    runs = [json.loads(path.read_text()) for path in found]
    return 100 * statistics.mean(run["dense_test"] for run in runs)


def frontier():
    """LeNet-5 on MNIST: test accuracy over how many times fewer weights."""
    figure, (axis,) = _figure(7.2, 3.8, 1)
    level = dense()
    axis.axhline(level, color="black", linewidth=1, linestyle="--")
    label = f"dense, images not shifted, {level:.2f} %"
    axis.text(490, level + 0.02, label, ha="right")
    for run, label in RUNS.items():
        names = {f"{name}_{run}": ratio for name, ratio in RATIOS.items()}
        _means(axis, names, "o-", color=COLOURS[label], label=label, linewidth=2)
    names = {f"records_lenet5_{n}_shift_admm": ratio for ratio, n in SHIFTED.items()}
    style = {"color": COLOURS["ADMM"], "mfc": "white", "label": "ADMM, images shifted"}
    last = _means(axis, names, "o:", **style)[-1]
    axis.text(350, last - 0.17, "1,230 weights,\n16 kB as TFLite", ha="center")
    axis.set_xscale("log")
    axis.set_xticks([71.2, 168.8, 350], ["71x", "169x", "350x"])
    axis.minorticks_off()
    axis.set_xlim(50, 500)
    axis.set_ylim(98.4, 99.6)
    axis.set_xlabel("times fewer weights (LeNet-5, 430,500 of them)")
    axis.set_ylabel("MNIST test accuracy, %")
    axis.legend(loc="lower left", frameon=False, title="means of 3 seeds (dots)")
    _save(figure, "frontier")


def _means(axis, names, style, **options):
    """Draw the means of three seeds over the ratios, a dot for each; returns them."""
    means = []
    for name, ratio in names.items():
        seeds = test_of(f"{name}_?")
        axis.plot([ratio] * len(seeds), seeds, ".", color=options["color"], alpha=0.5)
        means.append(statistics.mean(seeds))
    axis.plot(names.values(), means, style, **options)
    return means


def post_training():
    """Test accuracy over sparsity, pruned by 256 inputs, for three networks."""
    results = json.loads((RESULTS / "post_training.json").read_text())
    figure, axes = _figure(7.2, 3.2, len(results))
    for axis, (network, runs) in zip(axes, results.items()):
        level = 100 * runs["dense"]["test"]
        axis.axhline(level, color="black", linewidth=1, linestyle="--")
        for method in ("ADMM", "Wanda", "magnitude"):
            values = [100 * runs[f"{s} % {method}"]["test"] for s in (50, 70, 80)]
            axis.plot((50, 70, 80), values, "o-", color=COLOURS[method], label=method)
        axis.set_title(network)
        axis.set_ylim(0, 104)
        axis.set_xlabel("zeros, %")
    axes[0].set_ylabel("test accuracy, %")
    axes[0].legend(loc="lower left", frameon=False)
    _save(figure, "post_training")


def epochs():
    """LeNet-5 with 71 times fewer weights: test accuracy over the epochs in all."""
    figure, (axis,) = _figure(7.2, 3.2, 1)
    for method, label in SHORT.items():
        values = [test_of(f"records_lenet5_71x_{n}_{method}_0")[0] for n in EPOCHS]
        axis.plot(EPOCHS, values, "o-", color=COLOURS[label], label=label)
    axis.set_xscale("log")
    axis.set_xticks(EPOCHS, EPOCHS)
    axis.minorticks_off()
    axis.set_xlabel("epochs in all, two thirds of them with ADMM")
    axis.set_ylabel("MNIST test accuracy, %")
    axis.legend(loc="lower right", frameon=False, title="one seed")
    _save(figure, "epochs")


def rho():
    """Two networks: accuracy over rho, kept as it is, and with `"auto"`."""
    figure, axes = _figure(7.2, 3.2, len(TITLES))
    numbers = [10.0**n for n in range(-4, 1)]
    for axis, (network, title) in zip(axes, TITLES.items()):
        for score, colour in SCORES.items():
            pattern = f"records_{network}_10_{score}_rho_{{}}_admm_0"
            values = [test_of(pattern.format(f"{rho:.0e}"))[0] for rho in numbers]
            axis.plot(numbers, values, "o-", color=colour, label=score)
            (level,) = test_of(pattern.format("auto"))
            axis.axhline(level, color=colour, linestyle="--", linewidth=1)
        axis.set_xscale("log")
        axis.set_xlabel('rho, the same throughout (dashed: "auto")')
        axis.set_ylabel(title)
        axis.legend(loc="lower right", frameon=False, title="one seed, scored by")
    _save(figure, "rho")


def convergence(path):
    """Accuracy, relative residuals and rho over the epochs of a run."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) + 1 for row in rows]
    cut = next(e for e, row in zip(epochs, rows) if float(row["rho"]) == 0) - 0.5
    panels = {
        "accuracy": ("accuracy", "val_accuracy"),
        "relative residual": ("admm_primal_rel", "admm_dual_rel"),
        "rho": ("rho",),
    }
    figure, axes = _figure(7.2, 2.8, len(panels))
    for axis, (title, names) in zip(axes, panels.items()):
        for name, colour in zip(names, ("#0072B2", "#E69F00")):
            axis.plot(epochs, [float(r[name]) for r in rows], color=colour, label=name)
        axis.axvline(cut, color="grey", linestyle="--", linewidth=1)
        axis.set_ylabel(title)
        axis.set_xlabel("epoch")
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    _save(figure, "convergence")


def _figure(width, height, panels):
    matplotlib.rcParams.update({"font.size": 9, "svg.hashsalt": "tf_admm"})
    figure = Figure((width, height), layout="constrained", facecolor="white")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure, axes


def _save(figure, name):
    OUT.mkdir(exist_ok=True)
    figure.savefig(OUT / f"{name}.svg", metadata={"Date": None})


def main(_):
    frontier()
    epochs()
    post_training()
    rho()
    if FLAGS.history_path:
        convergence(FLAGS.history_path)


if __name__ == "__main__":
    app.run(main)
