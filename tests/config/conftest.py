"""Fixtures that tests of the configuration share."""

from pathlib import Path

import pytest


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
