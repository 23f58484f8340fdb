from pathlib import Path

import pytest

from usaggr.data.read import file_facts
from usaggr.data.read.file_facts import FileFacts, ProbeKey


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that were opened and decoded, as they are read."""
    read: list[str] = []
    original = file_facts._probe_file

    def counting(key: ProbeKey, max_pixels: int) -> tuple[FileFacts, bool]:
        read.append(Path(key.file.path).name)
        return original(key, max_pixels)

    monkeypatch.setattr(file_facts, "_probe_file", counting)
    return read
