"""All the scripts in turn, on scikit-learn's digits: `make demo`."""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
OUT = pathlib.Path("demo")
STEPS = (
    (
        "train_dense.py",
        "--flagfile={here}/recipes/digits_dense.flags",
        "--save_path={out}/dense.keras",
    ),
    (
        "prune_admm.py",
        "--flagfile={here}/recipes/digits_32x.flags",
        "--model_path={out}/dense.keras",
        "--save_path={out}/sparse.keras",
        "--history_path={out}/history.csv",
        "--picture_path={out}/convergence.png",
    ),
    (
        "export_tflite.py",
        "--model_path={out}/sparse.keras",
        "--tflite_path={out}/sparse.tflite",
    ),
    ("evaluate_tflite.py", "--tflite_path={out}/sparse.tflite", "--dataset=digits"),
    (
        "report.py",
        "--model_path={out}/sparse.keras",
        "--history_path={out}/history.csv",
        "--html_path={out}/report.html",
    ),
)


def main():
    OUT.mkdir(exist_ok=True)
    for script, *options in STEPS:
        print(f"\n== {script}", flush=True)
        options = [option.format(here=HERE, out=OUT) for option in options]
        subprocess.run([sys.executable, HERE / script, *options], check=True)
    print(f"\nEverything is in {OUT}/; look at {OUT}/report.html.")


if __name__ == "__main__":
    main()
