from pathlib import Path

import pytest

from usaggr.data.read import file_facts as room
from usaggr.data.read.file_facts import FileFacts, ProbeKey


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were opened and decoded."""
    read: list[str] = []
    original = room._probe

    def counting(key: ProbeKey, max_pixels: int) -> tuple[FileFacts, bool]:
        read.append(Path(key.file.path).name)
        return original(key, max_pixels)

    monkeypatch.setattr(room, "_probe", counting)
    return read
