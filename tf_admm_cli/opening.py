"""A model and its data, read and checked for the commands."""

import contextlib
import dataclasses

from tf_admm_cli import data
from tf_admm_cli import models
from tf_admm_cli import objective
from tf_admm_cli import quiet
from tf_admm_cli.spec import of_model


@dataclasses.dataclass
class Opened:
    """A model with data that fit.

    Attributes:
        model: the Keras model, compiled.
        spec: its `Spec`.
        data: the `Data`.
        reading: the `Reading` that the data was read by.
    """

    model: object
    spec: object
    data: data.Data
    reading: data.Reading

    def more(self, name, paths):
        """Other data, read in the same way; its training part."""
        reading = dataclasses.replace(
            self.reading, name=name, classes=self.data.classes, whole=True
        )
        found = data.load(paths, reading)
        part = getattr(found, found.held_out)
        if isinstance(part, tuple):
            objective.check_labels(part[1], self.model.loss, self.spec, name)
        return part, found.rows[found.held_out]


@contextlib.contextmanager
def opened(given, paths, whole=False):
    """The model of the first argument, with data, in the scope of its own objects.

    Args:
        given: the flags; those of `options.models`, `data` and `goals`.
        paths: of the data.
        whole: whether nothing is to be set aside for validation.
    """
    with models.custom_objects(given.imports):
        model = models.load(given.arguments[0], given.seed)
        yield of_data(given, model, paths, whole)


def of_data(given, model, paths, whole=False):
    """The `Opened` of a model that is loaded."""
    spec = of_model(model)
    reading = data.Reading(
        name="DATA",
        spec=spec,
        target=given.target,
        scale=given.scale,
        seed=given.seed,
        label_mode=objective.label_mode(model, spec, given.loss),
        whole=whole,
    )
    found = data.load(paths, reading)
    data.warn_of_scale(found, model, given.scale)
    guessed = not (model.compiled or given.loss)
    objective.settle(model, found.train, spec, given.loss, given.metric)
    for name, part in (("validation", found.validation), ("test", found.test)):
        if isinstance(part, tuple):
            where = f"the {name} part of DATA"
            objective.check_labels(part[1], model.loss, spec, "DATA", where)
    if guessed:
        quiet.note(
            f"the model is not compiled; its loss is taken to be "
            f"{objective.title(model.loss)}. --loss says another."
        )
    return Opened(model, spec, found, reading)


def representative(given, spec):
    """Inputs to calibrate int8 on, or `None` if none are asked for."""
    if not given.representative:
        return None
    name = "--representative"
    reading = data.Reading(name, spec, target=given.target, scale=given.scale)
    return data.inputs(given.representative, reading)
