"""Small networks for images. They return logits."""

from keras import Model
from keras import Sequential
from keras import layers


def lenet5(input_shape, classes, dropout):
    """20-50-500-10 with valid 5x5 convolutions: 430,500 weights on 28x28x1."""
    return Sequential(
        [
            layers.Input(input_shape),
            layers.Conv2D(20, 5, name="conv1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(50, 5, name="conv2"),
            layers.MaxPooling2D(name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dense(500, activation="relu", name="fc1"),
            layers.Dropout(dropout, name="dropout"),
            layers.Dense(classes, name="fc2"),
        ],
        name="lenet5",
    )


def lenet300(input_shape, classes, dropout):
    """784-300-100-10: 266,200 weights on 28x28x1."""
    return Sequential(
        [
            layers.Input(input_shape),
            layers.Flatten(name="flatten"),
            layers.Dense(300, activation="relu", name="fc1"),
            layers.Dropout(dropout, name="dropout"),
            layers.Dense(100, activation="relu", name="fc2"),
            layers.Dense(classes, name="fc3"),
        ],
        name="lenet300",
    )


def resnet8(input_shape, classes, dropout):
    """16-32-64, one residual block each: 77,360 weights on 32x32x3."""
    inputs = layers.Input(input_shape)
    x = _convolution(inputs, 16, 3, 1, "conv")
    x = layers.ReLU()(x)
    for i, (filters, stride) in enumerate([(16, 1), (32, 2), (64, 2)], start=1):
        y = _convolution(x, filters, 3, stride, f"block{i}_conv1")
        y = layers.ReLU()(y)
        y = _convolution(y, filters, 3, 1, f"block{i}_conv2")
        if stride > 1:
            x = _convolution(x, filters, 1, stride, f"block{i}_shortcut")
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x)
    return Model(inputs, layers.Dense(classes, name="fc")(x), name="resnet8")


def _convolution(x, filters, size, stride, name):
    x = layers.Conv2D(filters, size, stride, "same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)


MODELS = {"lenet5": lenet5, "lenet300": lenet300, "resnet8": resnet8}
