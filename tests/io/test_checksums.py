"""Hashes beside files are those of sha256sum, and tell whether a file has changed since."""

import subprocess
from pathlib import Path

from usaggr.io.checksums import file_hash, is_as_noted, note_hash


def test_the_note_is_one_that_sha256sum_accepts(tmp_path: Path) -> None:
    file = tmp_path / "scored.safetensors"
    file.write_bytes(bytes(range(256)) * 5000)
    note_hash(file)
    checked = subprocess.run(["sha256sum", "--check", "scored.sha256"], cwd=tmp_path, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, "scored.safetensors: OK\n")


def test_a_changed_file_is_told_from_the_one_that_was_noted(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"first")
    assert is_as_noted(file, file_hash(file))  # nothing was noted
    note_hash(file)
    assert is_as_noted(file, file_hash(file))
    file.write_bytes(b"second")
    assert not is_as_noted(file, file_hash(file))
    file.with_suffix(".sha256").write_text("")
    assert not is_as_noted(file, file_hash(file))
