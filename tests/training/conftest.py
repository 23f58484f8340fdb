"""What all tests of training need."""

from collections.abc import Iterator

import pytest

from usaggr import stopping


@pytest.fixture(autouse=True)
def unasked() -> Iterator[None]:
    """No test is asked to stop by the one before it."""
    stopping.forget()
    yield
    stopping.forget()
