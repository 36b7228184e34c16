"""A Keras 3 model made again in tf_keras, layer by layer."""

import functools
import inspect

import keras

from tf_admm.structure.tracing import trace

#: Arguments of layers that have another name there.
RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
#: Layers whose own `from_config` asks for more than their arguments.
BY_ARGUMENTS = {"MultiHeadAttention"}
#: Values of arguments that tf_keras need not have.
UNSAID = (None, False, "channels_last")
#: What every layer takes.
COMMON = {"name", "trainable", "dtype"}
#: What recurrent layers take by keyword only.
RECURRENT = {"zero_output_for_mask"}
#: What stands between layers, as TensorFlow has it.
OPERATIONS = {
    "Add": "add",
    "Subtract": "subtract",
    "Multiply": "multiply",
    "TrueDivide": "truediv",
    "Divide": "truediv",
    "Maximum": "maximum",
    "Minimum": "minimum",
    # Of which a mask is made.
    "NotEqual": "not_equal",
    "Relu": "nn.relu",
    "Relu6": "nn.relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Silu": "nn.silu",
}


def rebuild(model, wrap=lambda layer, original: layer):
    """The same model of tf_keras layers, with the same weights.

    Models in it are laid out flat, so their layers need names of their own.

    Args:
        model: a built functional or sequential Keras 3 model.
        wrap: function from a new layer and its original to what is used instead.

    Returns:
        `(model, layers)`: the tf_keras model, and a dict from the original layers'
        ids to what was used for them.

    Raises:
        ValueError: if a layer or operation can't be made there, by its name.
    """
    import tf_keras

    traced = trace(model)
    made, tensors = {}, {}
    names = iter(x.name for x in model.inputs)
    inputs = keras.tree.map_structure(
        lambda x: tf_keras.Input(x.shape[1:], dtype=x.dtype, name=next(names)),
        traced.inputs,
    )
    _pair(tensors, traced.inputs, inputs)
    calls = [leaf for call in traced.roots for leaf in _laid_out(call)]
    for call in calls:
        if id(call.layer) not in made:
            made[id(call.layer)] = _made(call.layer, wrap)
        args, kwargs = _arguments(call, tensors)
        _pair(tensors, call.result, made[id(call.layer)](*args, **kwargs))
    outputs = keras.tree.map_structure(lambda x: tensors[id(x)], traced.outputs)
    result = tf_keras.Model(inputs, outputs, name=model.name)
    for call in calls:
        if isinstance(call.layer, keras.Layer):
            _copy(call.layer, made[id(call.layer)])
    return result, made


def _laid_out(call):
    """The call, or if tf_keras has no such layer, what it calls itself."""
    import tf_keras

    if not call.inside or hasattr(tf_keras.layers, type(call.layer).__name__):
        return [call]
    return [leaf for inner in call.inside for leaf in _laid_out(inner)]


def _pair(tensors, old, new):
    for a, b in zip(keras.tree.flatten(old), keras.tree.flatten(new)):
        tensors[id(a)] = b


def _arguments(call, tensors):
    """What the call was given, of tensors of the new model."""

    def new(x):
        if isinstance(x, keras.KerasTensor) and id(x) not in tensors:
            raise ValueError(
                "Expected layers that are called on what other layers put out. "
                f"Received: '{call.layer.name}', called on another tensor, such as a "
                "constant, or a cast of an input"
            )
        return tensors.get(id(x), x)

    kwargs = {
        key: value
        for key, value in call.kwargs.items()
        if key != "training" and value is not None
    }
    return keras.tree.map_structure(new, (call.args, kwargs))


def _made(layer, wrap):
    if not isinstance(layer, keras.Layer):
        return _operation(layer)
    return wrap(_layer(layer), layer)


def _operation(operation):
    import tensorflow as tf

    name = type(operation).__name__
    if name in ("HardSigmoid", "HardSilu"):
        return _activations()["hard_sigmoid" if name == "HardSigmoid" else "hard_silu"]
    if name not in OPERATIONS:
        raise ValueError(
            "Expected operations between layers that tf_keras has, too, "
            f"{list(OPERATIONS)}. Received: '{operation.name}' of type {name}"
        )
    function = tf
    for part in OPERATIONS[name].split("."):
        function = getattr(function, part)
    return function


def _layer(layer):
    import tf_keras

    name = type(layer).__name__
    cls = getattr(tf_keras.layers, name, None)
    public = getattr(keras.layers, name, None) is type(layer)
    if cls is None or not public:
        raise ValueError(
            "Expected layers that tf_keras has, too. Received: the layer "
            f"'{layer.name}' of type {name}"
        )
    config = _config(name, layer.get_config(), layer.name)
    try:
        return cls(**config) if name in BY_ARGUMENTS else cls.from_config(config)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "Expected a layer whose config tf_keras takes. Received: the layer "
            f"'{layer.name}' of type {name}: {error}"
        ) from error


def _config(name, config, where):
    """A layer's config as tf_keras has it."""
    import tf_keras

    renamed = RENAMED.get(name, {})
    cls = getattr(tf_keras.layers, name)
    taken = (COMMON | RECURRENT).union(
        *(inspect.signature(c.__init__).parameters for c in _own(cls))
    )
    result = {}
    for key, value in config.items():
        key = renamed.get(key, key)
        # Weights are copied, so how they were drawn is of no matter.
        if key.endswith("_initializer"):
            continue
        if key != "name" and isinstance(value, str) and value in _activations():
            result[key] = _activations()[value]
        elif key in taken:
            result[key] = _value(value, where)
        elif value not in UNSAID and key not in ("batch_shape", "ragged"):
            raise ValueError(
                "Expected a layer whose arguments tf_keras has, too. Received: the "
                f"layer '{where}' of type {name} with {key}={value}"
            )
    return result


@functools.cache
def _activations():
    """Those that tf_keras lacks, or has another function of that name for."""
    import tensorflow as tf
    import tf_keras

    @tf_keras.utils.register_keras_serializable(package="tf_admm")
    def hard_sigmoid(x):
        return tf.nn.relu6(x + 3.0) / 6.0

    @tf_keras.utils.register_keras_serializable(package="tf_admm")
    def hard_silu(x):
        return x * hard_sigmoid(x)

    return {
        "hard_sigmoid": hard_sigmoid,
        "hard_silu": hard_silu,
        "hard_swish": hard_silu,
    }


def _own(cls):
    import tf_keras

    return [c for c in cls.__mro__ if issubclass(c, tf_keras.layers.Layer)]


def _value(value, where):
    """Part of a config: without what only Keras 3 knows."""
    if not isinstance(value, dict) or "class_name" not in value:
        return value
    name, config = value["class_name"], value["config"]
    if name == "DTypePolicy":
        return config["name"]
    if value.get("module") == "keras.layers":
        return {"class_name": name, "config": _config(name, config, where)}
    return {"class_name": name, "config": config}


def _copy(old, new):
    """Copy weights to a layer, or to the one that it wraps."""
    target = getattr(new, "layer", new) if old.name != new.name else new
    target.set_weights(old.get_weights())
