"""contract.sha256: the checksums of a study's files, by which a changed file is noticed.

A changed cell of plan.csv or split.csv is still a valid cell, but it removes runs from the report or changes intervals.
The file has lines `DIGEST  NAME` as those of `sha256sum`. A line is added before its file is written, and earlier lines
stay: after a kill between the two writes, or next to a second writer, the file on disk is still one that was written.
Folders of versions without checksums are read as before, after the checks of plan_coverage.py.
"""

import hashlib
import os
from pathlib import Path

from usaggr.errors import RunError
from usaggr.io.atomic_files import make_write_error, write_atomic
from usaggr.io.bounded_files import read_bounded
from usaggr.io.checksums import hash_file
from usaggr.results import contract

_MAX_LINES = 1000
"""Number of lines from which the oldest ones are removed; each sweep adds a few."""
_KEPT_LINES = 200
"""Number of newest lines that are kept then."""


def write_contract_file(path: Path, text: str) -> None:
    """Write a file of a study atomically, after its checksum.

    Raises:
        WriteError: the file, or that of the checksums, cannot be written; the old content stays.
    """
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    sums = path.with_name(contract.SUMS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _add_line(sums, f"{digest}  {path.name}\n")
    except OSError as error:
        raise make_write_error(sums, error) from error
    write_atomic(path, text)


def check_sum(path: Path, remedy: str) -> None:
    """Refuse a file of a study that is not as usaggr has written it; a file without a checksum is accepted.

    Args:
        path: the file, which has been read before.
        remedy: advice about a changed file, for the message.

    Raises:
        RunError: the file has changed.
    """
    digests = [digest for digest, name in _read_lines(path.with_name(contract.SUMS)) if name == path.name]
    try:
        changed = bool(digests) and hash_file(path) not in digests
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from error
    if changed:
        raise RunError(
            f"{path}: has changed since it was written (its SHA-256 is not in {contract.SUMS}); restore the file, or "
            f"write it again: {remedy}"
        )


def has_sum(path: Path) -> bool:
    """Return whether a file of a study has a checksum; folders of earlier versions have none."""
    return any(name == path.name for _, name in _read_lines(path.with_name(contract.SUMS)))


def _add_line(sums: Path, line: str) -> None:
    """Add a line if it is not the last one of its file, and write it to disk.

    Raises:
        OSError: the file cannot be written.
    """
    lines = _read_lines(sums)
    digest, name = line.split()
    if [digest, name] == next(([d, n] for d, n in reversed(lines) if n == name), None):
        return
    if len(lines) >= _MAX_LINES:
        write_atomic(sums, "".join(f"{digest}  {name}\n" for digest, name in lines[-_KEPT_LINES:]))
    # O_APPEND: two sweeps of one folder may add their lines at the same time.
    descriptor = os.open(sums, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_lines(sums: Path) -> list[tuple[str, str]]:
    """Return the digests and names of a file of checksums; empty if it cannot be read."""
    try:
        lines = read_bounded(sums).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return []
    parts = [line.split() for line in lines]
    return [(line[0], line[1]) for line in parts if len(line) == 2]
