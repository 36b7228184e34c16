"""Files that are there whole, or not at all."""

import contextlib
import json
import os


@contextlib.contextmanager
def replacing(path):
    """A temporary name beside `path`, renamed to it if all went well."""
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{os.getpid()}-{name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def save_json(record, path):
    """Write JSON, in place of what was there."""
    with replacing(path) as temporary, open(temporary, "w") as file:
        json.dump(record, file, indent=1)
        file.write("\n")
