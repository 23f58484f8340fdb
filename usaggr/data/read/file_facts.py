"""Facts about the content of image and mask files: hash, size in pixels, decoding errors, values of a mask.

Each file is probed (read and decoded) once. Its facts are stored in the cache folder by path, size and modification
time. A file that is used as an image and as a mask is probed twice. A file that could not be decoded is probed again
after a change of the readers: of their version, their formats, or the decoding library. Facts of older versions have no
kind (`file_kinds`): the header is read again, and the file only if it is of a kind that is read otherwise now.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from usaggr.config.study import DataConfig
from usaggr.data.read.file_kinds import UNKNOWN_KIND, FileKind, deduplicate_kind, find_kind, restore_kind, store_kind
from usaggr.data.read.paths import ListedFile, find_cache_folder, make_folder
from usaggr.data.read.readers_version import add_readers_version, describe_readers
from usaggr.data.read.thread_pool import count_readers, map_in_threads, split_into_pieces
from usaggr.errors import DataError
from usaggr.io.bounded_content import parse_json
from usaggr.io.sqlite_store import is_damaged, open_store, open_store_to_read, set_aside
from usaggr.progress import Progress

STORE_VERSION = 1
"""Version in the store's file name: a new version starts a new store."""

MAX_VALUES = 512
"""Largest number of distinct values stored per mask; of more values, the smallest ones and the largest are stored."""

PIECE = 32
"""Number of files that a thread reads before their facts are stored."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Facts about the content of a file."""

    sha256: str
    """Hash of the file's bytes; empty if the file cannot be opened or has too many pixels."""
    height: int
    """Height in pixels; 0 if the file is not an image."""
    width: int
    """Width in pixels; 0 if the file is not an image."""
    error: str
    """Reason why the file cannot be used; empty if it can."""
    too_large: bool
    """True if the header has more pixels than `data.max_pixels`."""
    values: tuple[int, ...]
    """Distinct values of a mask, ascending; empty for an image."""
    kind: FileKind = field(default=UNKNOWN_KIND, compare=False)
    """Kind of the file; without a format if the file cannot be used, or if an older version has stored the facts."""


class ProbeKey(NamedTuple):
    """A file, and its use as an image or as a mask."""

    file: ListedFile
    is_mask: bool


def probe_files(
    keys: Iterable[ProbeKey],
    folder: Path,
    max_pixels: int,
    workers: int | None,
    progress: Progress,
    keep: bool = True,
) -> dict[ProbeKey, FileFacts]:
    """Return the facts of each file, from the store or by reading the file.

    Args:
        keys: Files and their uses; repeated keys are read once.
        folder: Cache folder with the store.
        max_pixels: Largest number of pixels of a file (`data.max_pixels`).
        workers: Number of threads (`data.workers`); None for one per core.
        progress: Advances by one for each file that is read.
        keep: False reads the store, if there is one, and writes nothing.

    Raises:
        DataError: The store cannot be written.
    """
    distinct = list(dict.fromkeys(keys))
    store = FactStore((make_folder(folder) if keep else folder) / _make_store_name(), read_only=not keep)
    facts = store.read(distinct)
    for key, stored in list(facts.items()):
        # `max_pixels` may have changed since the file was probed, so the stored answer may be wrong.
        if stored.too_large != (stored.height * stored.width > max_pixels):
            del facts[key]
    facts = _add_kinds(facts, store, workers)
    keys_to_probe = [key for key in distinct if key not in facts]
    if not keys_to_probe:
        return facts
    progress.start("reading images", len(keys_to_probe))
    try:
        for piece in _probe_all(keys_to_probe, max_pixels, workers):
            if keep:
                store.write((probed.key, probed.facts) for probed in piece if probed.can_store)
            facts.update((probed.key, probed.facts) for probed in piece)
            progress.advance(len(piece))
    finally:
        progress.finish()
    return facts


def read_unchanged(path: Path, sha256: str, data: DataConfig) -> bytes:
    """Return the content of a probed file, if it has not changed since.

    The facts of a changed file are removed from the store. The next plan therefore reads the file again, even if its
    size and modification time are the same.

    Args:
        path: The file.
        sha256: Hash of the file when it was probed.
        data: Configuration with the cache folder.

    Raises:
        DataError: The file cannot be read, or has changed.
    """
    from usaggr.data.read.images import read_bytes

    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() == sha256:
        return content
    with suppress(DataError):  # an error of the store must not hide the error of the file
        FactStore(find_cache_folder(data) / _make_store_name()).forget(path)
    raise DataError(
        f"{path}: has changed since the data set was read (its SHA-256 differs); restore the file, or start a new "
        "study of the changed data with another name=..."
    )


class ProbedFile(NamedTuple):
    """A file with its facts."""

    key: ProbeKey
    facts: FileFacts
    can_store: bool
    """False for a file that could not be opened, because the next attempt may succeed."""


def _probe_all(keys: Sequence[ProbeKey], max_pixels: int, workers: int | None) -> Iterator[list[ProbedFile]]:
    """Probe files in threads, and yield the results of `PIECE` files at a time."""
    work = [(list(piece), max_pixels) for piece in split_into_pieces(keys, PIECE)]
    yield from map_in_threads(_probe_piece, work, count_readers(workers))


def _add_kinds(facts: dict[ProbeKey, FileFacts], store: "FactStore", workers: int | None) -> dict[ProbeKey, FileFacts]:
    """Add the kinds to facts that an older version has stored, and leave out files that have to be read again.

    Args:
        facts: Facts of the store.
        store: The store.
        workers: Number of threads; None for one per core.
    """
    unknown = [key for key, item in facts.items() if not item.error and not item.too_large and not item.kind.format]
    complete = {key: item for key, item in facts.items() if item.error or item.too_large or item.kind.format}
    for piece in map_in_threads(_find_kinds, split_into_pieces(unknown, PIECE), count_readers(workers)):
        with_kinds = {key: replace(facts[key], kind=kind) for key, kind in piece if kind is not None}
        store.write(with_kinds.items())
        complete.update(with_kinds)
    return complete


def _find_kinds(keys: Sequence[ProbeKey]) -> list[tuple[ProbeKey, FileKind | None]]:
    """Return the kinds of files from their headers; None for files that have to be read again."""
    from usaggr.data.read.images import open_image

    kinds: list[tuple[ProbeKey, FileKind | None]] = []
    for key in keys:
        kind = None
        with suppress(OSError, DataError), Path(key.file.path).open("rb") as file:
            kind = deduplicate_kind(find_kind(open_image(file, key.file.path, None)))
        kinds.append((key, kind if kind is not None and kind.is_plain(key.is_mask) else None))
    return kinds


def _probe_piece(piece: tuple[list[ProbeKey], int]) -> list[ProbedFile]:
    keys, max_pixels = piece
    return [_probe_file(key, max_pixels) for key in keys]


def _probe_file(key: ProbeKey, max_pixels: int) -> ProbedFile:
    """Read and decode a file, and return its facts; an error of the file is one of the facts."""
    import numpy as np

    from usaggr.data.read.images import decode_mask, examine_image, open_image, read_bytes

    name = Path(key.file.path).name
    try:
        content = read_bytes(Path(key.file.path))
    except DataError as error:
        unreadable = FileFacts("", 0, 0, _remove_path(error, key.file.path), False, ())
        return ProbedFile(key, unreadable, can_store=False)
    digest = hashlib.sha256(content).hexdigest()
    height = width = 0
    values: tuple[int, ...] = ()
    error_text, kind = "", UNKNOWN_KIND
    try:
        image = open_image(content, name, None)
        height, width = image.height, image.width
        if height * width > max_pixels:
            # Not decoded, because the decoded pixels might not fit in memory.
            too_large = FileFacts("", height, width, f"{height} x {width} pixels", True, ())
            return ProbedFile(key, too_large, can_store=True)
        if key.is_mask:
            kind = find_kind(image)
            mask = decode_mask(image, name)
            values = tuple(np.flatnonzero(np.bincount(mask.values.ravel())).tolist())
            kind = replace(kind, drawn=mask.drawn, colors=mask.colors)
        else:
            kind = examine_image(image, name)
    except DataError as error:
        error_text = _remove_path(error, name)
    if len(values) > MAX_VALUES:
        values = (*values[: MAX_VALUES - 1], values[-1])
    facts = FileFacts(digest, height, width, error_text, False, values, deduplicate_kind(kind))
    return ProbedFile(key, facts, can_store=True)


def _make_store_name() -> str:
    """Return the file name of the store in the cache folder."""
    return f"{add_readers_version(f'files-{STORE_VERSION}')}.sqlite"


def _remove_path(error: DataError, name: str) -> str:
    """Return an error's message without the file's name, because the errors of index rows already contain it."""
    return str(error).removeprefix(f"{name}: ")


class FactStore:
    """Facts in a SQLite file that several processes can use; a corrupt file is set aside and created again."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """Prepare the store.

        Args:
            path: The SQLite file.
            read_only: Change nothing on disk. A file that is missing, or is no such store, then holds no facts.
        """
        self._path = path
        self._read_only = read_only

    def read(self, keys: Sequence[ProbeKey]) -> dict[ProbeKey, FileFacts]:
        """Return the stored facts of unchanged files.

        Facts with a decoding error are left out unless the current version of the readers has found the error.
        """
        if not keys:
            return {}
        stored: dict[tuple[str, int, int, int], FileFacts] = {}
        refused: set[tuple[str, int, int, int]] = set()
        readers = describe_readers()
        paths = [os.fsencode(key.file.path) for key in keys]
        bounds = (min(paths), max(paths))  # one range query is faster than a query per file
        kinds: dict[tuple[str, int, int, int], FileKind] = {}

        def select(connection: sqlite3.Connection) -> None:
            # The action may run a second time, after the store was created again.
            stored.clear()
            refused.clear()
            kinds.clear()
            query = "SELECT * FROM facts WHERE path BETWEEN ? AND ?"
            for path, mask, size, mtime_ns, sha256, height, width, error, is_too_large, values in connection.execute(
                query, bounds
            ):
                distinct_values = tuple(parse_json(values)) if values else ()
                stored[os.fsdecode(path), mask, size, mtime_ns] = FileFacts(
                    sha256, height, width, error, bool(is_too_large), distinct_values
                )
            query = "SELECT path, is_mask, size, mtime_ns FROM refusals WHERE readers = ? AND path BETWEEN ? AND ?"
            for path, mask, size, mtime_ns in connection.execute(query, (readers, *bounds)):
                refused.add((os.fsdecode(path), mask, size, mtime_ns))
            query = "SELECT path, is_mask, size, mtime_ns, kind FROM kinds WHERE path BETWEEN ? AND ?"
            for path, mask, size, mtime_ns, text in connection.execute(query, bounds):
                if (kind := restore_kind(text)) is not None:
                    kinds[os.fsdecode(path), mask, size, mtime_ns] = kind

        self._run(select)
        current = {}
        for key in keys:
            entry = (key.file.path, int(key.is_mask), key.file.size, key.file.mtime_ns)
            facts = stored.get(entry)
            if facts is not None and (facts.too_large or not facts.error or entry in refused):
                current[key] = replace(facts, kind=kinds[entry]) if entry in kinds else facts
        return current

    def write(self, facts: Iterable[tuple[ProbeKey, FileFacts]]) -> None:
        """Store facts, and replace earlier facts about the same files."""
        stored = list(facts)
        fact_rows = [
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
            for key, item in stored
        ]
        placeholders, readers = ", ".join("?" * 10), describe_readers()
        kinds = [
            (os.fsencode(key.file.path), int(key.is_mask), key.file.size, key.file.mtime_ns, store_kind(item.kind))
            for key, item in stored
            if item.kind.format
        ]
        refused = [
            (os.fsencode(key.file.path), int(key.is_mask), key.file.size, key.file.mtime_ns, readers)
            for key, item in stored
            if item.error and not item.too_large
        ]

        def insert(connection: sqlite3.Connection) -> None:
            connection.executemany(f"INSERT OR REPLACE INTO facts VALUES ({placeholders})", fact_rows)
            connection.executemany("INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?, ?)", refused)
            connection.executemany("INSERT OR REPLACE INTO kinds VALUES (?, ?, ?, ?, ?)", kinds)

        self._run(insert)

    def forget(self, path: Path) -> None:
        """Remove the facts of a file, both as an image and as a mask."""
        self._run(lambda connection: connection.execute("DELETE FROM facts WHERE path = ?", (os.fsencode(path),)))

    def _run(self, action: Callable[[sqlite3.Connection], object]) -> None:
        """Run an action on the store; if the store is corrupt, set it aside and run the action once more."""
        if self._read_only:
            # Without facts the files are read again.
            with suppress(OSError, sqlite3.Error, ValueError, TypeError), open_store_to_read(self._path) as connection:
                action(connection)
            return
        for attempt in (1, 2):
            try:
                # The second `connection` is the transaction.
                with open_store(self._path, (_TABLE, _REFUSALS, _KINDS)) as connection, connection:
                    action(connection)
                return
            except (OSError, sqlite3.Error, ValueError, TypeError) as error:
                if not is_damaged(error):
                    raise DataError(
                        f"{self._path}: the cache cannot be used: {error}; choose another data.cache_dir=..."
                    ) from error
                if attempt == 2:
                    raise DataError(f"{self._path}: the cache is corrupt: {error}; remove this file") from error
                set_aside(self._path)


_TABLE = """CREATE TABLE IF NOT EXISTS facts (
    path BLOB, is_mask INTEGER, size INTEGER, mtime_ns INTEGER, sha256 TEXT, height INTEGER, width INTEGER,
    error TEXT, too_large INTEGER, mask_values TEXT, PRIMARY KEY (path, is_mask)) WITHOUT ROWID"""
_REFUSALS = """CREATE TABLE IF NOT EXISTS refusals (
    path BLOB, is_mask INTEGER, size INTEGER, mtime_ns INTEGER, readers TEXT, PRIMARY KEY (path, is_mask)
    ) WITHOUT ROWID"""
"""Readers that refused a file. The table is separate, so that older versions of the tool can use the store."""
_KINDS = """CREATE TABLE IF NOT EXISTS kinds (
    path BLOB, is_mask INTEGER, size INTEGER, mtime_ns INTEGER, kind TEXT, PRIMARY KEY (path, is_mask)
    ) WITHOUT ROWID"""
"""Kinds of files. The table is separate for the same reason."""
