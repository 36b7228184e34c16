"""Pictures of a training history."""

import csv

import common


def read(path):
    """Columns of a CSV history, by name."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def convergence(history_path, path):
    """Accuracy, relative residuals and rho over the epochs, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    history = read(history_path)
    epochs = [epoch + 1 for epoch in history["epoch"]]
    retraining = next((e for e, rho in zip(epochs, history["rho"]) if rho == 0), None)
    figure, axes = pyplot.subplots(3, 1, figsize=(7, 8), sharex=True)
    panels = (
        ("accuracy", ("accuracy", "val_accuracy")),
        ("relative residual", ("admm_primal_rel", "admm_dual_rel")),
        ("rho", ("rho",)),
    )
    for axis, (label, names) in zip(axes, panels):
        for name in names:
            axis.plot(epochs, history[name], marker=".", label=name)
        if retraining:
            axis.axvline(retraining - 0.5, color="grey", linestyle="--")
        axis.set_ylabel(label)
        axis.legend()
        axis.grid(alpha=0.3)
    axes[0].set_title("ADMM, then retraining under the mask (right of the line)")
    axes[-1].set_xlabel("epoch")
    figure.tight_layout()
    with common.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    pyplot.close(figure)
