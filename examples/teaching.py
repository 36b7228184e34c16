"""What the dense network puts out, learned from beside the labels.

A pruned network of a thousand weights sees from the dense one's outputs which wrong
answers are nearly right (Hinton, Vinyals and Dean, 2015, arXiv:1503.02531).
"""

import dataclasses

import keras
import numpy as np
from keras import ops


class TaughtCrossentropy(keras.losses.Loss):
    """Cross-entropy of the labels and, softened, of a teacher's outputs.

    With the logits p, the labels y, the teacher's logits t, the weight a and the
    temperature T,

        (1 - a) H(y, softmax(p)) + a T^2 H(softmax(t / T), softmax(p / T)),

    where H is the cross-entropy (equation 1 of the paper, and its section 2).

    Args:
        weight: float in [0, 1], a.
        temperature: float above 0, T.

    Call arguments:
        y_true: `(batch, 2 * classes)`, of `taught`.
        y_pred: logits, `(batch, classes)`.
    """

    def __init__(self, weight, temperature, name="taught_crossentropy"):
        super().__init__(name)
        self.weight = weight
        self.temperature = temperature

    def call(self, y_true, y_pred):
        y, t = ops.split(y_true, 2, axis=-1)
        crossentropy = keras.losses.categorical_crossentropy
        hard = crossentropy(y, y_pred, from_logits=True)
        soft = crossentropy(
            ops.softmax(t / self.temperature),
            y_pred / self.temperature,
            from_logits=True,
        )
        return (1 - self.weight) * hard + self.weight * self.temperature**2 * soft


def accuracy(y_true, y_pred):
    """How often the label has the largest logit."""
    return keras.metrics.categorical_accuracy(ops.split(y_true, 2, axis=-1)[0], y_pred)


def taught(data, teacher):
    """The data with labels as 0 and 1, and the teacher's logits beside them.

    The teacher sees the images as they are in the data, before any augmentation.

    Args:
        data: `datasets.Data`.
        teacher: model whose outputs are logits.

    Returns:
        `datasets.Data`, y `(n, 2 * classes)`.
    """

    def joined(x, y):
        logits = teacher.predict(x, batch_size=512, verbose=0)
        y = keras.utils.to_categorical(y, logits.shape[-1])
        return x, np.concatenate([y, logits], axis=1).astype("float32")

    parts = [field.name for field in dataclasses.fields(data)]
    return type(data)(**{name: joined(*getattr(data, name)) for name in parts})
