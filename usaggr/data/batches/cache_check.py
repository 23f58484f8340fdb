"""Whether the pixels of an image cache are still those that were written: SHA-256 of each file, piece by piece.

A sweep looks once, when it opens a cache. That takes about a second a GiB and core; several are used, as for reading.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from usaggr.data.read.thread_pool import results_of

CHECKSUMS = "checksums.json"
"""In a cache's folder: file: SHA-256 of each of its pieces."""
PIECE = 16 * 2**20
"""Bytes that are hashed at a time; the last piece of a file may be shorter."""


def write_checksums(directory: Path, names: Sequence[str], readers: int) -> None:
    """Write down what a cache's files hold now."""
    (directory / CHECKSUMS).write_text(json.dumps(_checksums(directory, names, readers)))


def damaged_file(directory: Path, names: Sequence[str], readers: int) -> str | None:
    """The first of a cache's files that is not what was written; None where all are.

    A cache of a version that wrote no checksums is taken as it is, and gets them.
    """
    path = directory / CHECKSUMS
    try:
        written = json.loads(path.read_text())
    except FileNotFoundError:
        write_checksums(directory, names, readers)
        return None
    except (OSError, ValueError):
        return CHECKSUMS
    if not isinstance(written, dict):
        return CHECKSUMS
    found = _checksums(directory, names, readers)
    return next((name for name in names if written.get(name) != found[name]), None)


def _checksums(directory: Path, names: Sequence[str], readers: int) -> dict[str, list[str]]:
    sizes = {name: (directory / name).stat().st_size for name in names}
    work = [(directory / name, place) for name in names for place in range(0, sizes[name], PIECE)]
    found = {(path.name, place): digest for path, place, digest in results_of(_digest, work, readers)}
    return {name: [found[name, place] for place in range(0, sizes[name], PIECE)] for name in names}


def _digest(piece: tuple[Path, int]) -> tuple[Path, int, str]:
    path, place = piece
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return path, place, hashlib.sha256(os.pread(descriptor, PIECE, place)).hexdigest()
    finally:
        os.close(descriptor)
