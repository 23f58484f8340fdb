"""Integrity check of an image cache by the SHA-256 of each piece of its files.

A sweep checks a cache once, when it opens it. One core checks about a GiB per second, and several pieces are checked at
the same time.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from usaggr.data.read.thread_pool import map_in_threads
from usaggr.io.bounded_content import parse_json
from usaggr.io.bounded_files import read_bounded_text

CHECKSUMS = "checksums.json"
"""File in a cache's folder that holds the SHA-256 of each piece of each file."""
PIECE = 16 * 2**20
"""Size of a piece in bytes; the last piece of a file may be shorter."""


def write_checksums(directory: Path, names: Sequence[str], readers: int) -> None:
    """Write the checksums of a cache's files.

    Args:
        directory: directory of the cache.
        names: names of its files.
        readers: number of threads.
    """
    (directory / CHECKSUMS).write_text(json.dumps(_compute_checksums(directory, names, readers)), encoding="utf-8")


def find_damaged_file(directory: Path, names: Sequence[str], readers: int) -> str | None:
    """Return the first file of a cache whose content has changed since it was written; None if there is none.

    A cache that an older version has written without checksums is accepted, and its checksums are added.

    Args:
        directory: directory of the cache.
        names: names of its files.
        readers: number of threads.
    """
    path = directory / CHECKSUMS
    try:
        recorded = parse_json(read_bounded_text(path))
    except FileNotFoundError:
        write_checksums(directory, names, readers)
        return None
    except (OSError, ValueError):
        return CHECKSUMS
    if not isinstance(recorded, dict):
        return CHECKSUMS
    current = _compute_checksums(directory, names, readers)
    return next((name for name in names if recorded.get(name) != current[name]), None)


def _compute_checksums(directory: Path, names: Sequence[str], readers: int) -> dict[str, list[str]]:
    """Return the SHA-256 of each piece, by file.

    Args:
        directory: directory of the cache.
        names: names of its files.
        readers: number of threads.
    """
    sizes = {name: (directory / name).stat().st_size for name in names}
    pieces = [(directory / name, offset) for name in names for offset in range(0, sizes[name], PIECE)]
    # Threads return the pieces in any order.
    digests = {(path.name, offset): digest for path, offset, digest in map_in_threads(_hash_piece, pieces, readers)}
    return {name: [digests[name, offset] for offset in range(0, sizes[name], PIECE)] for name in names}


def _hash_piece(piece: tuple[Path, int]) -> tuple[Path, int, str]:
    """Return a piece, given by its file and offset in bytes, with its SHA-256."""
    path, offset = piece
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return path, offset, hashlib.sha256(os.pread(descriptor, PIECE, offset)).hexdigest()
    finally:
        os.close(descriptor)
