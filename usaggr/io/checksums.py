"""Checksum files: the SHA-256 of a file in a file next to it, in the format of `sha256sum`."""

import hashlib
from pathlib import Path

SUFFIX = ".sha256"
"""Suffix of a checksum file."""


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_checksum(path: Path) -> None:
    """Write the checksum file of a file.

    Raises:
        OSError: the file cannot be read, or the checksum file not written.
    """
    path.with_suffix(SUFFIX).write_text(f"{hash_file(path)}  {path.name}\n")


def has_valid_checksum(path: Path, digest: str) -> bool:
    """Return whether a file's hash equals that of its checksum file; True without a checksum file.

    Raises:
        OSError: the checksum file cannot be read.
    """
    checksum = path.with_suffix(SUFFIX)
    # The format is "DIGEST  NAME"; the name may differ after a copy.
    return not checksum.is_file() or checksum.read_bytes().split()[:1] == [digest.encode()]
