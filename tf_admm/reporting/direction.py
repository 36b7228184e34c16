"""Whether more of a metric is better, as Keras has it."""

import keras


def better(model, name, mode="auto"):
    """`"max"` or `"min"`, whichever of a metric is better; `None` if not known.

    Keras' callbacks infer it from the metrics that the model was compiled with, the
    loss among them. Of several outputs, their names come first, as in `"kind_auc"`.

    Args:
        model: a compiled Keras model that has been evaluated.
        name: of one of its metrics, or `"loss"`.
        mode: what is known already, or `"auto"`.
    """
    if mode != "auto":
        return mode
    outputs = [f"{output}_" for output in _outputs(model)]
    own = [name.removeprefix(output) for output in outputs if name.startswith(output)]
    found = [_inferred(model, one) for one in (name, *own)]
    return next((best for best in found if best is not None), None)


def _outputs(model):
    """Names of the outputs, as metrics may have them; none of a subclassed model."""
    names = getattr(model, "output_names", None)
    if names is None:
        return []
    return [*names, *(model.output if isinstance(model.output, dict) else ())]


def _inferred(model, name):
    probe = keras.callbacks.EarlyStopping(monitor=f"val_{name}", patience=9)
    probe.set_model(model)
    probe.on_train_begin()
    try:
        probe.on_epoch_end(0, {f"val_{name}": 0.0})
    except ValueError:
        return None
    probe.on_epoch_end(1, {f"val_{name}": 1.0})
    return "max" if probe.wait == 0 else "min"


def drop(value, dense, best):
    """How much worse a value is than the dense model's; below 0.0 if it is better.

    Of a metric whose most is best, such as accuracy, the difference. Of one whose least
    is best, such as a loss, the difference over the dense value.
    """
    if best == "max":
        return dense - value
    return (value - dense) / max(abs(dense), 1e-12)
