"""Stored hashes are those of sha256sum, and show whether a file has changed since."""

import subprocess
from pathlib import Path

from usaggr.io.checksums import file_hash, is_as_noted, note_hash


def test_a_stored_hash_is_accepted_by_sha256sum(tmp_path: Path) -> None:
    file = tmp_path / "scored.safetensors"
    file.write_bytes(bytes(range(256)) * 5000)
    note_hash(file)
    checked = subprocess.run(["sha256sum", "--check", "scored.sha256"], cwd=tmp_path, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, "scored.safetensors: OK\n")


def test_a_changed_file_differs_from_its_stored_hash(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"first")
    assert is_as_noted(file, file_hash(file))  # no hash is stored yet
    note_hash(file)
    assert is_as_noted(file, file_hash(file))
    file.write_bytes(b"second")
    assert not is_as_noted(file, file_hash(file))
    file.with_suffix(".sha256").write_text("")
    assert not is_as_noted(file, file_hash(file))
