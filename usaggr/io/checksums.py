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
    path.with_suffix(SUFFIX).write_text(f"{hash_file(path)}  {path.name}\n", encoding="utf-8")


def has_valid_checksum(path: Path, digest: str) -> bool:
    """Return whether a file's hash equals that of its checksum file; True if there is no checksum file.

    `digest` is the current SHA-256 of the file in hexadecimal, so that callers that need it hash the file once.

    Raises:
        OSError: the checksum file cannot be read.
    """
    checksum = path.with_suffix(SUFFIX)
    if not checksum.is_file():
        return True
    # Only the digest of the line "DIGEST  NAME" is compared, because a copied file may have another name.
    return checksum.read_bytes().split()[:1] == [digest.encode()]
