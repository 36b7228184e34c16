"""What kind of number an argument is: `True` and `False` are none."""

import numbers


def is_real(value):
    """Whether it is a number, whole or not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value):
    """Whether it is a whole number."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
