"""The whole run in Keras' files."""

import contextlib
import json
import os

import keras

from tf_admm import files
from tf_admm.admm import checkpoints
from tf_admm.admm import checks
from tf_admm.admm import progress

#: Of the keys of what a backend draws random numbers from, beside Keras' seeds.
RANDOM = "random_"
#: The module that PyTorch's optimizers are of in a config, and what any backend knows.
OF_TORCH, OF_ANY = "keras.src.backend.torch.optimizers", "keras.optimizers"
#: Of files that Keras writes as one.
ENDINGS = (".keras", ".weights.h5")


class Saving:
    """How an `ADMMModel` is saved and loaded; mixed into it."""

    def save(self, filepath, overwrite=True, **kwargs):
        """`keras.Model.save`; the file is there whole, or as it was before.

        Of several processes the first writes, and all call it.

        Raises:
            ValueError: if the file could not be loaded again.
        """
        checks.check_path(filepath)
        self._check_loadable()
        with self.writing(filepath) as path, _whole(path, overwrite) as path:
            super().save(path, overwrite, **kwargs)

    def _check_loadable(self):
        """Raise if a `.keras` file of it could not be loaded again."""
        checks.check_registered(self.model)
        checks.check_parts(
            json.loads(checkpoints.describe(self.model, self._slots)),
            keras.saving.serialize_keras_object([self.schedule, self.kept]),
        )

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """`keras.Model.save_weights`, called and written likewise."""
        with self.writing(filepath) as path, _whole(path, overwrite) as path:
            super().save_weights(path, overwrite, **kwargs)

    def load_weights(self, *args, **kwargs):
        """`keras.Model.load_weights`; if it fails, nothing has changed."""
        variables = self.variables
        if self.compiled:
            variables = variables + self.optimizer.variables
        with checkpoints.all_or_nothing(variables):
            super().load_weights(*args, **kwargs)

    def compile_from_config(self, config):
        """`keras.Model.compile_from_config`, of what any backend has saved."""
        super().compile_from_config(_for_any_backend(config))

    def save_own_variables(self, store):
        super().save_own_variables(store)
        checkpoints.save(store, self.model, self._slots)
        for name, value in self.random_state().items():
            store[RANDOM + name] = value

    def load_own_variables(self, store):
        now = {}
        super().save_own_variables(now)
        found = checkpoints.load(store, self.model, self._slots)
        names = [key for key in found if key.startswith(RANDOM)]
        states = {key.removeprefix(RANDOM): found.pop(key) for key in names}
        later = list(now)[-len(progress.LATER) :]
        super().load_own_variables({**{key: now[key] for key in later}, **found})
        self.drawn = states
        self.set_random_state(states)
        self.restored = True


def _for_any_backend(config):
    """The config with optimizers by their public names."""
    if not isinstance(config, dict):
        return config
    config = {key: _for_any_backend(value) for key, value in config.items()}
    if str(config.get("module")).startswith(OF_TORCH):
        config["module"] = OF_ANY
    return config


def _whole(path, overwrite):
    """What Keras writes to: a temporary name, unless it asks first or writes more."""
    name = os.fspath(path)
    ending = next((e for e in ENDINGS if name.endswith(e)), None)
    if not overwrite or ending is None or "://" in name:
        return contextlib.nullcontext(path)
    return files.replacing(path, ending)
