"""Which cases of a sweep `make test` takes, and which are left to `make test-slow`."""

import pytest


def few(cases, *fast):
    """Each case as a `pytest.param`; those that are not in `fast` are slow."""
    missing = set(fast) - set(cases)
    assert not missing, f"No such cases: {missing}"
    return [
        pytest.param(case, marks=() if case in fast else pytest.mark.slow, id=str(case))
        for case in cases
    ]
