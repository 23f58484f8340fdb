"""Trained model for all tests that only read it."""

from pathlib import Path

import pytest

from tests.inference.factories import plan_of, train


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with data/ and outputs/."""
    return tmp_path_factory.mktemp("inference")


@pytest.fixture(scope="session")
def run(folder: Path) -> Path:
    """Directory of the run of a model of all tasks, which is trained once."""
    return train(plan_of(folder))[0].directory
