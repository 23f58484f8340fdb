"""Fixtures that tests of faults share."""

from pathlib import Path

import pytest

from tests.faults.contract_readers import write_folder


@pytest.fixture(scope="module")
def complete_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of results with every file of the contract; a test that changes a file restores it."""
    folder = tmp_path_factory.mktemp("contract") / "study"
    write_folder(folder)
    return folder
