"""Stored hashes are those of sha256sum, and show whether a file has changed since."""

import subprocess
from pathlib import Path

from usaggr.io.checksums import has_valid_checksum, hash_file, write_checksum


def test_a_stored_hash_is_accepted_by_sha256sum(tmp_path: Path) -> None:
    file = tmp_path / "scored.safetensors"
    file.write_bytes(bytes(range(256)) * 5000)
    write_checksum(file)
    checked = subprocess.run(["sha256sum", "--check", "scored.sha256"], cwd=tmp_path, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, "scored.safetensors: OK\n")


def test_a_changed_file_differs_from_its_stored_hash(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"first")
    assert has_valid_checksum(file, hash_file(file))  # no hash is stored yet
    write_checksum(file)
    assert has_valid_checksum(file, hash_file(file))
    file.write_bytes(b"second")
    assert not has_valid_checksum(file, hash_file(file))
    file.with_suffix(".sha256").write_text("")
    assert not has_valid_checksum(file, hash_file(file))
