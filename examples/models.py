"""The networks of the paper's MNIST experiments. They return logits."""

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


MODELS = {"lenet5": lenet5, "lenet300": lenet300}
