"""The record of earlier reports is read in spellings of other programs; damaged ones are kept and prevent nothing."""

import os
from pathlib import Path

import pytest

from usaggr.results.reported_seeds import has_damaged_record, read_reported_seeds, record_reported_seeds

READABLE = ["seeds\n2\n3\n", "\ufeffseeds\r\n2\r\n3\r\n", "seeds\n 3\n\n2 \n", '"seeds",\n"2",\n"3",\n']


@pytest.mark.parametrize("text", READABLE)
def test_a_record_that_another_program_has_saved_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "reported_seeds.csv"
    path.write_bytes(text.encode())
    assert (read_reported_seeds(tmp_path), has_damaged_record(tmp_path)) == ((2, 3), False)
    record_reported_seeds(tmp_path, [2, 3])
    assert path.read_bytes() == text.encode()
    record_reported_seeds(tmp_path, [2, 3, 5])
    assert path.read_text() == "seeds\n2\n3\n5\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["reported_seeds.csv"]


def test_valid_numbers_of_a_damaged_record_are_kept(tmp_path: Path) -> None:
    (tmp_path / "reported_seeds.csv").write_text("seeds\n2\nx\n3\n")
    assert (read_reported_seeds(tmp_path), has_damaged_record(tmp_path)) == ((2, 3), True)


@pytest.mark.parametrize("kind", ["huge", "folder", "pipe", "device"])
def test_a_record_that_cannot_be_read_is_renamed(tmp_path: Path, kind: str) -> None:
    path, damaged_copy = tmp_path / "reported_seeds.csv", tmp_path / "reported_seeds.damaged.csv"
    for target in (damaged_copy, tmp_path / "reported_seeds.damaged-2.csv"):
        path.unlink(missing_ok=True)
        if kind == "huge":
            path.touch()
            os.truncate(path, 2**40)  # sparse
        elif kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
        mode = path.lstat().st_mode
        assert (read_reported_seeds(tmp_path), has_damaged_record(tmp_path)) == ((), True)
        record_reported_seeds(tmp_path, [2])
        assert (path.read_text(), target.lstat().st_mode) == ("seeds\n2\n", mode)
        assert has_damaged_record(tmp_path)


def test_a_record_that_cannot_be_renamed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    (tmp_path / "reported_seeds.csv").mkdir()
    monkeypatch.setattr(Path, "rename", refuse)
    record_reported_seeds(tmp_path, [2])
    assert (tmp_path / "reported_seeds.csv").is_dir()
