"""Several devices and several processes against one, which is the oracle.

`distributed.py` trains, in processes of its own: JAX counts devices as it starts. Sums
of parts differ from the sum of the whole by rounding, hence 1e-6, and not equality.
"""

import importlib.util
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import caching
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
#: Seconds after which a training is ended, however it hangs.
LIMIT = 240
slow = pytest.mark.slow
needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="needs jax"
)


def environment(devices, cache):
    return {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        # It is compiling that takes the time.
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        **caching.environment(cache),
    }


def start(folder, devices, *words):
    command = [sys.executable, str(ROOT / "tests" / "distributed.py"), str(folder)]
    # A file, since a pipe that is full would hold the process up.
    log = folder / f"log_{time.monotonic_ns()}"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, *map(str, words)],
            env=environment(devices, folder / "cache"),
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    return process, log


def wait(started):
    """Their return codes and what they wrote; none outlives this."""
    end = time.monotonic() + LIMIT
    try:
        for process, _ in started:
            process.wait(max(0.1, end - time.monotonic()))
            if process.returncode:
                # What waits for it would wait for long.
                break
    finally:
        for process, _ in started:
            process.kill()
            process.wait()
    return [p.returncode for p, _ in started], [log.read_text() for _, log in started]


def alone(folder, devices, *words):
    return wait([start(folder, devices, *words)])


def in_two(folder, devices, *words):
    port = free_port()
    return wait(
        [
            start(folder, devices, *words, "--port", port, "--process", i, "--of", 2)
            for i in range(2)
        ]
    )


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def ended_well(codes, logs):
    assert not any(codes), logs[0][-4000:] + "\n----\n" + logs[-1][-4000:]


def was_killed(codes, logs):
    assert codes[0] == -signal.SIGKILL, logs[0][-4000:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def one(folder):
    """What a single device ends with."""
    ended_well(*alone(folder, 1, "one"))
    return of(folder, "one")


@pytest.fixture(scope="module")
def all_of_one(tmp_path_factory):
    """What a single device ends with, with all kinds of sets."""
    folder = tmp_path_factory.mktemp("all")
    ended_well(*alone(folder, 1, "one", "--all"))
    return of(folder, "one")


def of(folder, name):
    """All variables that a training ended with, by place and name; no logs."""
    with np.load(folder / f"{name}.npz") as file:
        return {key: file[key] for key in file if not key.startswith("log")}


def assert_near(found, expected):
    """Weights and state within 1e-6, and zeros in the same places."""
    assert list(found) == list(expected)
    for name, value in expected.items():
        if value.dtype == bool or not np.issubdtype(value.dtype, np.floating):
            np.testing.assert_array_equal(found[name], value, name)
            continue
        # `pulled` is a sum over all weights.
        scale = max(1.0, float(np.max(np.abs(value), initial=0.0)))
        assert np.max(np.abs(found[name] - value), initial=0.0) <= 1e-6 * scale, name
        np.testing.assert_array_equal(found[name] == 0, value == 0, name)


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, name)


@needs_jax
def test_several_devices_agree_with_one(folder, one):
    """Also that Z, U and the rest lie as their kernels do, which `Layouts` checks."""
    ended_well(*alone(folder, 4, "data", "model"))
    for kind in ("data", "model"):
        assert_near(of(folder, kind), one)
    kernels = [v for name, v in one.items() if name.endswith(" kernel")]
    assert sum(np.count_nonzero(v == 0) for v in kernels) > 0


@needs_jax
def test_two_processes_agree_with_one_and_resume(folder, one):
    """Both are killed and started again, and end as one device does."""
    backup = ["--backup", folder / "backup"]
    was_killed(*in_two(folder, 1, "data", *backup, "--kill", 0))
    kept = sorted(path.name for path in (folder / "backup").iterdir())
    assert "latest.weights.h5" in kept and "training_metadata.json" in kept
    ended_well(*in_two(folder, 1, "data", *backup))
    first, second = of(folder, "data_0"), of(folder, "data_1")
    assert_same(second, first)
    assert_near(first, one)


@slow
@needs_jax
@pytest.mark.parametrize("kind", ["data", "model"])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_killed_and_resumed_on_several_devices(tmp_path, all_of_one, kind, epoch):
    ended_well(*alone(tmp_path, 4, kind, "--all"))
    undisturbed = of(tmp_path, kind)
    assert_near(undisturbed, all_of_one)
    backup = ["--all", "--backup", tmp_path / "backup"]
    was_killed(*alone(tmp_path, 4, kind, *backup, "--kill", epoch))
    ended_well(*alone(tmp_path, 4, kind, *backup))
    assert_same(of(tmp_path, kind), undisturbed)


@slow
@needs_jax
@pytest.mark.parametrize("kind, devices", [("data", 2), ("model", 2), ("across", 1)])
def test_two_processes(tmp_path, all_of_one, kind, devices):
    """Undisturbed, and killed: bit for bit. `across`: none has all of a kernel."""
    ended_well(*in_two(tmp_path, devices, kind, "--all"))
    first = of(tmp_path, f"{kind}_0")
    assert_same(of(tmp_path, f"{kind}_1"), first)
    assert_near(first, all_of_one)
    backup = ["--all", "--backup", tmp_path / "backup"]
    was_killed(*in_two(tmp_path, devices, kind, *backup, "--kill", 1))
    ended_well(*in_two(tmp_path, devices, kind, *backup))
    for process in range(2):
        assert_same(of(tmp_path, f"{kind}_{process}"), first)


# What is refused.

SCOPES = """
import contextlib, keras, tf_admm
several = keras.distribution.DataParallel()
assert several.device_mesh.devices.size == 2

def attempt(built, wrapped):
    with built:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="fc")])
    with wrapped:
        try:
            tf_admm.ADMMModel(model, sparsity=0.5)
            print("no error")
        except ValueError as error:
            print(error)

none = contextlib.nullcontext()
attempt(none, none)
attempt(several.scope(), several.scope())
attempt(none, several.scope())
attempt(several.scope(), none)
"""

STRATEGIES = """
import keras, tensorflow as tf, tf_admm
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
two = ["CPU:0", "CPU:1"]
for strategy in (
    tf.distribute.MultiWorkerMirroredStrategy(),
    tf.distribute.OneDeviceStrategy("CPU:0"),
    tf.distribute.MirroredStrategy(two),
    tf.distribute.experimental.CentralStorageStrategy(two, "CPU:0"),
):
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        try:
            tf_admm.ADMMModel(model, sparsity=0.5)
            print("no error")
        except ValueError as error:
            print(error)
"""


def python(code, **env):
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout.strip().splitlines()


@needs_jax
def test_scopes(folder):
    *fine, outside, inside = python(SCOPES, **environment(2, folder / "cache"))
    assert fine == ["no error", "no error"]
    for message in (outside, inside):
        assert re.search(r"Expected .* same `keras.distribution`", message)
        assert re.search(r"Received: .*not built: \['fc/kernel'\]", message)
    assert "DataParallel" in outside and "None" in inside


def test_strategies_that_keras_does_not_train_in():
    """Before anything is trained, with the way that works."""
    worker = {"worker": [f"127.0.0.1:{free_port()}"]}
    task = {"type": "worker", "index": 0}
    config = json.dumps({"cluster": worker, "task": task})
    many, single, mirrored, central = python(
        STRATEGIES, KERAS_BACKEND="tensorflow", TF_CONFIG=config
    )
    assert single == mirrored == "no error"
    for message, name in (
        (many, "MultiWorkerMirroredStrategy"),
        (central, "CentralStorageStrategy"),
    ):
        assert re.search(r"Expected .*`MirroredStrategy`.*KERAS_BACKEND=jax", message)
        assert message.endswith(f"Received: {name}")
