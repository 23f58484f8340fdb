"""The SHA-256 of a file, noted in a file of the same name beside it, as `sha256sum` writes it."""

import hashlib
from pathlib import Path

SUFFIX = ".sha256"


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def note_hash(path: Path) -> None:
    """Write the file's hash beside it.

    Raises:
        OSError: the file cannot be read, or the note not written.
    """
    path.with_suffix(SUFFIX).write_text(f"{file_hash(path)}  {path.name}\n")


def is_as_noted(path: Path, found: str) -> bool:
    """Whether a file's hash is the one that was noted beside it; True where none was.

    Raises:
        OSError: the note cannot be read.
    """
    noted = path.with_suffix(SUFFIX)
    return not noted.is_file() or noted.read_bytes().split()[:1] == [found.encode()]
