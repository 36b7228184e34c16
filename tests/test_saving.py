"""Files of an `ADMMModel` are there whole, or as they were before."""

import pathlib
import signal
import subprocess
import sys

import pytest
import resumable

slow = pytest.mark.slow
FULL = """
import os, resource, signal, sys
import resumable

name, path = sys.argv[1:]
save = getattr(resumable.build("4"), name)
save(path)
size = os.path.getsize(path)
print(size, flush=True)
# A write beyond it kills the process.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
save(path)
"""


@pytest.mark.parametrize(
    "name, file",
    [("save_weights", "a.weights.h5"), pytest.param("save", "a.keras", marks=slow)],
)
def test_a_file_that_is_killed_in_the_writing_is_as_it_was(tmp_path, name, file):
    path = tmp_path / file
    command = [sys.executable, "-c", FULL, name, path]
    done = subprocess.run(
        command, cwd=pathlib.Path(__file__).parent, stdout=subprocess.PIPE
    )
    assert done.returncode == -signal.SIGXFSZ
    assert path.stat().st_size == int(done.stdout)
    resumable.build("4").load_weights(path)
