"""SavedModels, which the converter reads."""

import contextlib
import contextvars
import io
import os
import tempfile

import keras

from tf_admm.export.tflite import several_axes
from tf_admm.export.tflite import states

#: A folder, and what is in it, while several files are made of the same models.
_SHARED = contextvars.ContextVar("shared", default=None)


@contextlib.contextmanager
def sharing():
    """A model is saved once for all of its files, and must not change meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        token = _SHARED.set((folder, {}))
        try:
            yield
        finally:
            _SHARED.reset(token)


@contextlib.contextmanager
def saved(model, signature, names, batch):
    """`(folder, graph)`: a SavedModel while this lasts, and its `GraphDef`."""
    if _SHARED.get() is None:
        with sharing(), saved(model, signature, names, batch) as found:
            yield found
        return
    above, found = _SHARED.get()
    key = id(model), str(names), batch
    if key not in found:
        folder = os.path.join(above, str(len(found)))
        with states.fresh(model), several_axes.as_one(model):
            graph = _written(model, signature, names, batch, folder)
        # With the model, whose number another one could get.
        found[key] = model, (folder, graph)
    yield found[key][1]


def _written(model, signature, names, batch, folder):
    """Write a SavedModel to the folder; returns its `GraphDef`."""
    import tensorflow as tf

    # One flat dict in, one flat dict out: the model's own nests may be deeper
    # than a signature can be, and lose their names on the way.
    def serve(inputs):
        flat = [inputs[name] for name in names[0]]
        outputs = model(signature.pack(flat), training=False)
        return dict(zip(names[1], keras.tree.flatten(outputs)))

    specs = {
        name: tf.TensorSpec((batch, *shape[1:]), dtype, name=name)
        for name, shape, dtype in zip(names[0], signature.shapes, signature.dtypes)
    }
    archive = keras.export.ExportArchive()
    archive.track(model)
    endpoint = archive.add_endpoint("serving_default", serve, [specs])
    with contextlib.redirect_stdout(io.StringIO()):
        archive.write_out(folder, verbose=False)
    return endpoint.get_concrete_function(specs).graph.as_graph_def()
