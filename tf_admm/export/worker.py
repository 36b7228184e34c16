"""The other process of `elsewhere`: `python -m tf_admm.export.worker FOLDER`.

It reads numbers, each that of a request in the folder, and answers with the number when
the reply is there. It ends when there are no more.
"""

import importlib
import os
import pickle
import sys
import warnings

import keras


def main(folder):
    # What anything prints here goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name = os.path.join(folder, line.strip())
        with open(f"{name}.request", "rb") as file:
            request = pickle.load(file)
        with open(f"{name}.reply", "wb") as file:
            pickle.dump(_reply(request), file)
        answers.write(line)
        answers.flush()


def _reply(request):
    reply = {"result": None, "error": None, "warnings": []}
    try:
        arguments = _arguments(request)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                reply["result"] = _function(request)(*arguments, **request["options"])
            finally:
                reply["warnings"] = [
                    str(w.message) for w in caught if w.category is UserWarning
                ]
    except Exception as error:  # noqa: BLE001, raised where it was asked for
        reply["error"] = (type(error).__name__, str(error))
    return reply


def _function(request):
    module, name = request["function"]
    return getattr(importlib.import_module(module), name)


def _arguments(request):
    for name, value in request["settings"].items():
        getattr(keras.config, name)(value)
    if "model" not in request:
        return [request["path"]]
    try:
        for module in request["modules"]:
            importlib.import_module(module)
        # A file of the same user's own model.
        model = keras.saving.load_model(
            request["model"], compile=False, safe_mode=False
        )
    except Exception as error:
        raise ValueError(
            "Expected a model that another process can load from its `.keras` file, "
            f"with the TensorFlow backend. Received: one with which this fails: {error}"
        ) from error
    return [model, request["path"]]


if __name__ == "__main__":
    main(sys.argv[1])
