"""Files that are there whole, or not at all."""

import contextlib
import json
import os
import tempfile
import uuid


@contextlib.contextmanager
def replacing(path, ending=""):
    """A temporary name beside `path`, renamed to it if all went well.

    Args:
        path: of the file.
        ending: str, that of the temporary name.
    """
    # Not `tempfile`, whose files only their owner can read.
    temporary = f"{os.fspath(path)}.{uuid.uuid4().hex}.tmp{ending}"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def can_write(folder):
    """Whether a file can be made in a folder: one is, and is gone at once.

    What the folder's permissions say is not enough: of `/proc` and of a disk that is
    mounted to be read, they may say yes.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def save_json(record, path):
    """Write JSON, in place of what was there."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.write("\n")


def load_json(path):
    """Read JSON.

    Raises:
        ValueError: if the file holds something else.
    """
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"Expected JSON in {path}. Received: {error}") from error
