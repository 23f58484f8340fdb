"""Fixtures for all tests of training."""

from collections.abc import Iterator

import pytest

from usaggr import stopping


@pytest.fixture(autouse=True)
def unasked() -> Iterator[None]:
    """Reset the request to stop that an earlier test has made."""
    stopping.withdraw_request()
    yield
    stopping.withdraw_request()
