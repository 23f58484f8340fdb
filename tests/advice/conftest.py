"""Finished sweeps that several tests read; each is written once per session."""

from pathlib import Path

import pytest

from tests.advice.factories import finished


@pytest.fixture(scope="session")
def gaining(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep whose unified model gains a skill of .1."""
    return finished(tmp_path_factory.mktemp("advice") / "outputs" / "gaining", {"unified": 0.1}).directory


@pytest.fixture(scope="session")
def equal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep in which sharing changes nothing."""
    return finished(tmp_path_factory.mktemp("advice") / "outputs" / "equal", {}).directory
