"""The scripts, run as a user runs them."""

import csv
import json
import pathlib
import re
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
slow = pytest.mark.slow
SPARSITY = {"fc1": 0.9, "fc2": 0.8, "fc3": 0.5}


def run(folder, script, *options):
    command = [sys.executable, EXAMPLES / script, *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def succeed(folder, script, *options):
    process = run(folder, script, *options)
    assert process.returncode == 0, process.stderr
    return process.stdout + process.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything that the scripts make, of a network small enough for a test."""
    folder = tmp_path_factory.mktemp("examples")
    succeed(folder, "train_dense.py", "--model=lenet300", "--epochs=5")
    succeed(
        folder,
        "prune_admm.py",
        "--sparsity=" + ",".join(f"{k}={v}" for k, v in SPARSITY.items()),
        "--admm_epochs=4",
        "--retrain_epochs=3",
        "--update_freq=5",
        "--rho_end=1e-2",
        "--history_path=history.csv",
        "--picture_path=convergence.png",
        "--report_path=report.json",
        "--backup_dir=backup",
    )
    return folder


def test_pruned_model_is_a_plain_one_with_exact_counts(folder):
    model = keras.saving.load_model(folder / "sparse.keras")
    for name, sparsity in SPARSITY.items():
        kernel = model.get_layer(name).kernel.numpy()
        expected = kernel.size - round(sparsity * kernel.size)
        assert np.count_nonzero(kernel) == expected


def test_history_has_all_epochs_and_all_columns(folder):
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(7))
    rho = [float(row["rho"]) for row in rows]
    assert min(rho[:4]) > 0.0 and rho[4:] == [0.0] * 3
    assert float(rows[3]["admm_primal_rel"]) > 0.0


@slow
def test_taught_by_the_dense_network(folder, tmp_path):
    printed = succeed(
        tmp_path,
        "prune_admm.py",
        f"--model_path={folder / 'dense.keras'}",
        "--sparsity=fc1=0.9",
        "--admm_epochs=1",
        "--retrain_epochs=1",
        "--teacher_weight=0.5",
        "--report_path=report.json",
    )
    report = json.loads((tmp_path / "report.json").read_text())
    # A metric that read the logits among the labels would be near a guess, 0.1.
    assert report["validation"] > 0.6 and report["test"] > 0.6
    assert f"test {report['test']:.4f}" in printed
    succeed(tmp_path, "export_tflite.py")
    again = succeed(tmp_path, "evaluate_tflite.py", "--tflite_path=sparse.tflite")
    assert f"test accuracy {report['test']:.4f}" in again


@pytest.mark.parametrize("weight, temperature", [(0, 1), (0.3, 2), (0.5, 4), (1, 1)])
def test_loss_of_a_teacher_is_the_papers(weight, temperature):
    """By scipy, from probabilities rather than logits."""
    sys.path.append(str(EXAMPLES))
    import teaching

    rng = np.random.default_rng(0)
    p, t = rng.normal(0, 3, (2, 64, 5))
    y = np.eye(5)[rng.integers(0, 5, 64)]
    loss = teaching.TaughtCrossentropy(weight, temperature)
    received = loss(np.concatenate([y, t], 1).astype("float32"), p.astype("float32"))

    soft = scipy.special.softmax(t / temperature, axis=1)
    student = scipy.special.softmax(p / temperature, axis=1)
    # H(a, b) = H(a) + KL(a || b)
    entropy = scipy.stats.entropy(soft, axis=1)
    softened = entropy + scipy.stats.entropy(soft, student, axis=1)
    hard = -np.log(scipy.special.softmax(p, axis=1)[y == 1])
    expected = (1 - weight) * hard + weight * temperature**2 * softened
    assert float(received) == pytest.approx(expected.mean(), rel=1e-5)


@slow
def test_trained_for_int8(folder):
    printed = succeed(folder, "quantize.py", "--epochs=1", "--tflite_path=int8.tflite")
    found = re.search(r"float32 (0\.\d+), int8 (0\.\d+)", printed)
    report = json.loads((folder / "report.json").read_text())
    assert float(found[1]) == pytest.approx(report["test"], abs=1e-4)
    assert float(found[2]) >= report["test"] - 0.02
    again = succeed(folder, "evaluate_tflite.py", "--tflite_path=int8.tflite")
    assert f"test accuracy {found[2]}" in again
    (folder / "int8.tflite").unlink()


def test_picture_is_a_png_and_nothing_temporary_is_left(folder):
    assert (folder / "convergence.png").read_bytes().startswith(b"\x89PNG")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "dense.keras", "sparse.keras", "history.csv", "convergence.png", "report.json",
    }  # fmt: skip


def test_tflite_file_is_as_accurate_as_the_report_says(folder):
    report = json.loads((folder / "report.json").read_text())
    succeed(folder, "export_tflite.py")
    printed = succeed(folder, "evaluate_tflite.py", "--tflite_path=sparse.tflite")
    (folder / "sparse.tflite").unlink()
    assert f"test accuracy {report['test']:.4f}" in printed
    assert report["test"] > 0.7


@slow
def test_a_budget_in_place_of_rates(folder, tmp_path):
    dense = f"--model_path={folder / 'dense.keras'}"
    succeed(tmp_path, "allocate.py", dense, "--ratio=20", "--exclude=fc3")
    succeed(
        tmp_path,
        "prune_admm.py",
        dense,
        "--constraints=allocation.json",
        "--admm_epochs=1",
        "--retrain_epochs=1",
    )
    model = keras.saving.load_model(tmp_path / "sparse.keras")
    kernels = [w for w in model.get_weights() if w.ndim > 1]
    total, kept = sum(w.size for w in kernels), sum(map(np.count_nonzero, kernels))
    assert total / 20 - 1 < kept <= total / 20
    assert np.all(kernels[-1] != 0)


@pytest.mark.slow
def test_what_a_file_holds(folder, tmp_path):
    model = f"--model_path={folder / 'sparse.keras'}"
    tflite = f"--tflite_path={tmp_path / 'small.tflite'}"
    succeed(tmp_path, "export_tflite.py", model, tflite, "--shrink", "--dtype=float16")
    printed = succeed(tmp_path, "inspect_tflite.py", tflite)
    assert "float16" in printed and "compressed rows" in printed
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"small.tflite"}


@slow
def test_what_a_model_comes_to(folder, tmp_path):
    model = f"--model_path={folder / 'sparse.keras'}"
    printed = succeed(tmp_path, "report.py", model, "--html_path=report.html")
    assert "int8" in printed
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"report.html"}


@pytest.mark.parametrize(
    "script, options, message",
    [
        pytest.param(
            *("prune_admm.py", [], "Expected --sparsity, --ratio or --constraints"),
            marks=slow,
        ),
        pytest.param("allocate.py", [], "Expected one budget", marks=slow),
        pytest.param(
            *("allocate.py", ["--ratio=1e9"], "the nearest is ratio="), marks=slow
        ),
        pytest.param(
            *("inspect_tflite.py", ["--tflite_path=dense.keras"], "Expected a TFLite"),
            marks=slow,
        ),
        ("prune_admm.py", ["--sparsity=fc9=0.5"], "'fc9', which matches none of"),
        ("prune_admm.py", ["--save_path=no/such/sparse.keras"], "can be written"),
        *(
            pytest.param(*row, marks=slow)
            for row in (
                ("prune_admm.py", ["--sparsity=fc1"], "must be name=fraction"),
                (
                    "prune_admm.py",
                    ["--update_freq=often"],
                    "must be 'auto', 'epoch' or",
                ),
                ("prune_admm.py", ["--save_path=x"], "name of a .keras file"),
                ("prune_admm.py", ["--save_path=."], "name of a .keras file"),
                ("train_dense.py", ["--save_path=x.h5"], "name of a .keras file"),
                ("inspect_tflite.py", ["sparse.tflite"], "Expected flags only"),
                ("prune_admm.py", ["--sparsity=fc1=1.5"], "[0, 1]"),
                ("prune_admm.py", ["--sparsity=fc1=0.5", "--rho_end=-1"], "rho_end"),
                ("prune_admm.py", ["--picture_path=x.png"], "--history_path"),
                ("train_dense.py", ["--save_path=no/such/x.keras"], "can be written"),
            )
        ),
        ("train_dense.py", ["--data_path=bad.npz"], "without ['y_train', 'x_test'"),
        ("export_tflite.py", ["--tflite_path=no/such.tflite"], "can be written"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_written(
    folder, script, options, message
):
    np.savez(folder / "bad.npz", x_train=np.zeros((4, 28, 28), "uint8"))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    process = run(folder, script, *options)
    after = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "bad.npz").unlink()
    assert process.returncode != 0
    assert message in process.stderr
    assert "Epoch 1" not in process.stdout
    assert before == after


@slow
def test_dropout_needs_a_network_that_has_some(folder, tmp_path):
    model = keras.saving.load_model(folder / "dense.keras")
    config = model.get_config()
    for layer in config["layers"]:
        layer["config"] |= {"rate": 0.0} if layer["class_name"] == "Dropout" else {}
    type(model).from_config(config).save(tmp_path / "dense.keras")
    process = run(tmp_path, "prune_admm.py", "--sparsity=fc1=0.5", "--dropout=0.1")
    assert process.returncode != 0 and "made with --dropout=0" in process.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["dense.keras"]


def prune_command(folder, name, method):
    return [
        sys.executable,
        EXAMPLES / "prune_admm.py",
        f"--model_path={folder / 'dense.keras'}",
        f"--method={method}",
        "--sparsity=fc1=0.9,fc2=0.8",
        "--admm_epochs=3",
        "--retrain_epochs=3",
        "--update_freq=5",
        f"--save_path={name}.keras",
        f"--history_path={name}.csv",
        f"--backup_dir={name}_backup",
    ]


@slow
@pytest.mark.parametrize(
    "method, epochs", [("admm", 2), ("admm", 3), ("admm", 5), ("gradual", 2)]
)
def test_killed_script_goes_on_bit_for_bit(folder, tmp_path, method, epochs):
    """Killed in the first fit, as it ends, and in the second."""
    whole, cut = (prune_command(folder, name, method) for name in ("whole", "cut"))
    subprocess.run(whole, cwd=tmp_path, check=True, capture_output=True)
    with subprocess.Popen(cut, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        history = tmp_path / "cut.csv"
        while not history.exists() or history.read_text().count("\n") < epochs + 1:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    subprocess.run(cut, cwd=tmp_path, check=True, capture_output=True)
    models = [
        keras.saving.load_model(tmp_path / f"{n}.keras") for n in ("whole", "cut")
    ]
    for a, b in zip(*(model.get_weights() for model in models)):
        np.testing.assert_array_equal(a, b)
