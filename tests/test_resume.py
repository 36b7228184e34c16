"""A killed run goes on bit for bit: real processes, SIGKILL, Keras' backup."""

import functools
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import caching
import numpy as np
import pytest

slow = pytest.mark.slow
SCRIPT = pathlib.Path(__file__).with_name("resumable.py")


def run(out, backup_dir, order, update_freq, kill=()):
    command = [sys.executable, SCRIPT, out, backup_dir, order, update_freq, *kill]
    return subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **caching.environment(pathlib.Path(backup_dir).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )


def finish(*args):
    process = run(*args)
    assert process.returncode == 0, process.stderr
    with np.load(args[0]) as arrays:
        return [arrays[name] for name in arrays.files], process.stderr


def killed(*args, at):
    assert run(*args, kill=at).returncode == -signal.SIGKILL


def assert_same(left, right):
    assert len(left) == len(right) > 0
    for a, b in zip(left, right):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Final state, by update frequency, of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("undisturbed")

    @functools.cache
    def final(freq):
        return finish(folder / f"{freq}.npz", folder / freq, "backup_last", freq)[0]

    return final


@pytest.mark.parametrize(
    "order, update_freq, kills",
    [
        # Backup written, update and hand-over due and not made; retraining.
        pytest.param("backup_first", "epoch", [(2, -1), (4, 2)], marks=slow),
        # A new round due and not begun; rho and the pace found as it runs.
        ("backup_first", "auto", [(1, -1)]),
        pytest.param("backup_first", "auto", [(1, -1), (2, 3)], marks=slow),
        # The length of the epochs is found in the first, and its update not yet made.
        pytest.param("backup_first", "unknown", [(0, -1)], marks=slow),
        # In mid-epoch, in either phase.
        pytest.param("backup_last", "4", [(1, 3), (3, 4)], marks=slow),
        # Within the first epoch, before there is any backup; at an epoch's end.
        pytest.param("backup_last", "epoch", [(0, 2), (1, -1)], marks=slow),
        pytest.param("backup_first", "4", [(2, 5)], marks=slow),
        pytest.param("backup_last", "auto", [(0, 4), (2, -1)], marks=slow),
    ],
)
def test_killed_run_ends_as_the_undisturbed_one(
    tmp_path, undisturbed, order, update_freq, kills
):
    args = tmp_path / "out.npz", tmp_path / "backup", order, update_freq
    for at in kills:
        killed(*args, at=at)
    final, _ = finish(*args)
    assert_same(final, undisturbed(update_freq))


@slow
def test_kill_while_the_backup_is_written_falls_back_to_the_one_before(
    tmp_path, undisturbed
):
    args = tmp_path / "out.npz", tmp_path / "backup", "backup_first", "epoch"
    killed(*args, at=(3, 1))
    latest = tmp_path / "backup" / "latest.weights.h5"
    latest.write_bytes(latest.read_bytes()[: latest.stat().st_size // 2])
    final, _ = finish(*args)
    assert_same(final, undisturbed("epoch"))


@slow
def test_kill_between_the_two_files_of_a_backup_is_reported(tmp_path):
    args = tmp_path / "out.npz", tmp_path / "backup", "backup_last", "epoch"
    killed(*args, at=(2, 1))
    metadata = tmp_path / "backup" / "training_metadata.json"
    shutil.copy(f"{metadata}.bkp", metadata)
    _, stderr = finish(*args)
    assert "The restored weights are from within epoch 1" in stderr
