"""Facts of image and mask files that take reading them: hash, size in pixels, whether they decode, a mask's values.

Each file is read once: facts are kept in the cache folder by path, size and time of change. A file is probed as an
image or as a mask; one that is used as both has two entries. A file that was refused is read again by other readers:
those of another version, with other formats, or with another version of the library that decodes.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from usaggr.config.study import DataConfig
from usaggr.data.read.paths import FoundFile, cache_root, made_folder
from usaggr.data.read.readers_version import readers_identity, store_name
from usaggr.data.read.thread_pool import pieces, reader_count, results_of
from usaggr.errors import DataError
from usaggr.io.sqlite_store import open_store
from usaggr.progress import Progress

STORE_VERSION = 1
"""In the store's name: another version starts a store of its own."""

MAX_VALUES = 512
"""Distinct values of a mask that are kept; of more, the smallest and the largest one."""

PIECE = 32
"""Files that are read, and then kept, at a time."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file's content."""

    sha256: str
    """Of the file's bytes; empty where it was refused unread."""
    height: int
    """Pixels; 0 where the file is no image."""
    width: int
    error: str
    """Why it cannot be used; empty where it can."""
    too_large: bool
    """Refused by its header for having more than data.max_pixels."""
    values: tuple[int, ...]
    """Distinct values of a mask, ascending; none of an image."""


class ProbeKey(NamedTuple):
    """A file, and what it is read as."""

    file: FoundFile
    is_mask: bool


def probe_files(
    keys: Iterable[ProbeKey], folder: Path, max_pixels: int, workers: int | None, progress: Progress
) -> dict[ProbeKey, FileFacts]:
    """Facts of each file, from the store in `folder` where it has them, else from reading the file.

    Raises:
        DataError: the store cannot be written.
    """
    wanted = list(dict.fromkeys(keys))
    store = FactStore(made_folder(folder) / _store())
    facts = store.read(wanted)
    for key in wanted:
        if key in facts and facts[key].too_large != (facts[key].height * facts[key].width > max_pixels):
            del facts[key]
    new = [key for key in wanted if key not in facts]
    if new:
        progress.start("reading images", len(new))
        try:
            for found in _probed(new, max_pixels, workers):
                store.write((key, item) for key, item, keep in found if keep)
                facts.update((key, item) for key, item, _ in found)
                progress.advance(len(found))
        finally:
            progress.finish()
    return facts


def read_unchanged(path: Path, sha256: str, data: DataConfig) -> bytes:
    """Content of a file that has been probed, if it is still what it was.

    Of a file that has changed, with its size and time kept even, what is known is forgotten: the next plan reads it.

    Raises:
        DataError: it cannot be read, or has changed.
    """
    from usaggr.data.read.images import read_bytes

    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() == sha256:
        return content
    with suppress(DataError):  # what is wrong with the store must not hide what is wrong with the file
        FactStore(cache_root(data) / _store()).forget(path)
    raise DataError(
        f"{path}: has changed since the data set was read (its SHA-256 is another one); put the old file back, or "
        "start again with another name=..., which makes a study of the data as they are now"
    )


Found = tuple[ProbeKey, FileFacts, bool]
"""A file, its facts, and whether they are worth keeping (a file that could not be opened may be there next time)."""


def _probed(keys: Sequence[ProbeKey], max_pixels: int, workers: int | None) -> Iterator[list[Found]]:
    work = [(list(piece), max_pixels) for piece in pieces(keys, PIECE)]
    yield from results_of(_probe_piece, work, reader_count(workers))


def _probe_piece(piece: tuple[list[ProbeKey], int]) -> list[Found]:
    keys, max_pixels = piece
    return [(key, *_probe(key, max_pixels)) for key in keys]


def _probe(key: ProbeKey, max_pixels: int) -> tuple[FileFacts, bool]:
    import numpy as np

    from usaggr.data.read.images import image_pixels, mask_values, open_image, read_bytes

    name = Path(key.file.path).name
    try:
        content = read_bytes(Path(key.file.path))
    except DataError as error:
        return FileFacts("", 0, 0, _without_path(error, key.file.path), False, ()), False
    digest = hashlib.sha256(content).hexdigest()
    height = width = 0
    values: tuple[int, ...] = ()
    error_text = ""
    try:
        image = open_image(content, name, None)
        height, width = image.height, image.width
        if height * width > max_pixels:
            return FileFacts("", height, width, f"{width} x {height} pixels", True, ()), True
        if key.is_mask:
            mask = mask_values(image, name, foreground_255=False)
            values = tuple(np.flatnonzero(np.bincount(mask.ravel())).tolist())
        else:
            image_pixels(image, name, 1)
    except DataError as error:
        error_text = _without_path(error, name)
    if len(values) > MAX_VALUES:
        values = (*values[: MAX_VALUES - 1], values[-1])
    return FileFacts(digest, height, width, error_text, False, values), True


def _store() -> str:
    """Return the name of the store, in the cache folder."""
    return f"{store_name(f'files-{STORE_VERSION}')}.sqlite"


def _without_path(error: DataError, name: str) -> str:
    """The message less the file's name, which the index's row says in its own words."""
    return str(error).removeprefix(f"{name}: ")


class FactStore:
    """Facts on disk: a SQLite file, safe for several processes; one that is broken is thrown away."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, keys: Sequence[ProbeKey]) -> dict[ProbeKey, FileFacts]:
        """Return the facts of files that are as they were when they were probed; refusals of these readers alone."""
        if not keys:
            return {}
        stored: dict[tuple[str, int, int, int], FileFacts] = {}
        refused: set[tuple[str, int, int, int]] = set()
        readers = readers_identity()
        paths = [os.fsencode(key.file.path) for key in keys]
        bounds = (min(paths), max(paths))

        def select(connection: sqlite3.Connection) -> None:
            stored.clear()
            query = "SELECT * FROM facts WHERE path BETWEEN ? AND ?"
            for path, mask, size, mtime_ns, sha256, height, width, error, large, values in connection.execute(
                query, bounds
            ):
                known = tuple(json.loads(values)) if values else ()
                stored[os.fsdecode(path), mask, size, mtime_ns] = FileFacts(
                    sha256, height, width, error, bool(large), known
                )
            query = "SELECT path, is_mask, size, mtime_ns FROM refusals WHERE readers = ? AND path BETWEEN ? AND ?"
            refused.clear()
            refused.update((os.fsdecode(path), *of) for path, *of in connection.execute(query, (readers, *bounds)))

        self._do(select)
        found = {}
        for key in keys:
            place = (key.file.path, int(key.is_mask), key.file.size, key.file.mtime_ns)
            facts = stored.get(place)
            if facts is not None and (facts.too_large or not facts.error or place in refused):
                found[key] = facts
        return found

    def write(self, facts: Iterable[tuple[ProbeKey, FileFacts]]) -> None:
        """Keep facts; what was known of the files before is replaced."""
        lines = [
            (
                os.fsencode(key.file.path),
                int(key.is_mask),
                key.file.size,
                key.file.mtime_ns,
                item.sha256,
                item.height,
                item.width,
                item.error,
                int(item.too_large),
                json.dumps(item.values) if item.values else "",
            )
            for key, item in facts
        ]
        marks, readers = ", ".join("?" * 10), readers_identity()
        refused = [(*line[:4], readers) for line in lines if line[7] and not line[8]]

        def insert(connection: sqlite3.Connection) -> None:
            connection.executemany(f"INSERT OR REPLACE INTO facts VALUES ({marks})", lines)
            connection.executemany("INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?, ?)", refused)

        self._do(insert)

    def forget(self, path: Path) -> None:
        """Drop what is known of a file, as image and as mask."""
        self._do(lambda connection: connection.execute("DELETE FROM facts WHERE path = ?", (os.fsencode(path),)))

    def _do(self, action: Callable[[sqlite3.Connection], object]) -> None:
        for attempt in (1, 2):
            try:
                with open_store(self._path, (_TABLE, _REFUSALS)) as connection, connection:
                    action(connection)
                return
            except (sqlite3.OperationalError, OSError) as error:
                raise DataError(f"{self._path}: {error}; choose another data.cache_dir=...") from error
            except (sqlite3.DatabaseError, ValueError) as error:
                if attempt == 2:
                    raise DataError(f"{self._path}: {error}; remove it") from error
                for leftover in self._path.parent.glob(f"{self._path.name}*"):
                    leftover.unlink(missing_ok=True)


_TABLE = """CREATE TABLE IF NOT EXISTS facts (
    path BLOB, is_mask INTEGER, size INTEGER, mtime_ns INTEGER, sha256 TEXT, height INTEGER, width INTEGER,
    error TEXT, too_large INTEGER, mask_values TEXT, PRIMARY KEY (path, is_mask)) WITHOUT ROWID"""
_REFUSALS = """CREATE TABLE IF NOT EXISTS refusals (
    path BLOB, is_mask INTEGER, size INTEGER, mtime_ns INTEGER, readers TEXT, PRIMARY KEY (path, is_mask)
    ) WITHOUT ROWID"""
"""By which readers a file was refused; a table of its own, so that older versions of the tool can use the store."""
