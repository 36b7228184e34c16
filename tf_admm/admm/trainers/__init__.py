"""The W-update on each of Keras' backends, one short file for each.

Every file has the same names: `Trainer`, which `ADMMModel` is mixed of; `Compiled` and
`Once`, functions of variables that run as one; `either`, a choice by data; and
`after(first, x)`, which is x, from which nothing is computed before `first` is: or else
the pulls of all kernels would be, and be held until their gradients come.
"""

import importlib

import keras

#: The backends that there is a file for.
BACKENDS = ("tensorflow", "jax", "torch")

_name = keras.config.backend()
_file = _name if _name in BACKENDS else "other"
_backend = importlib.import_module(f"tf_admm.admm.trainers.{_file}")

Trainer = _backend.Trainer
Compiled = _backend.Compiled
Once = _backend.Once
either = _backend.either
after = _backend.after
