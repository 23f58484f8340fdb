"""SQLite files in the cache folder that several processes read and write; everything in them can be computed again."""

import glob
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from usaggr.io.bounded_files import UnusableContentError, open_regular

_WRITE_TIMEOUT = 60
"""Seconds to wait while another process writes."""
_HEAD = b"SQLite format 3\0"
"""First bytes of every SQLite file."""
_DAMAGED = ".damaged"
"""Suffix of a store that was set aside."""
_NO_LOG = b"\1\1"
"""Bytes 18 and 19 of a SQLite file without a write-ahead log, which a reader would create next to it."""


@contextmanager
def open_store(path: Path, tables: Sequence[str]) -> Iterator[sqlite3.Connection]:
    """Open a store, and create it if it is missing; use `with connection:` for a transaction.

    Args:
        path: The SQLite file; its folder must exist.
        tables: One statement `CREATE TABLE IF NOT EXISTS ...` per table.

    Raises:
        OSError: The file cannot be created.
        sqlite3.Error: The file cannot be used, or is not a SQLite file.
    """
    path.touch()  # SQLite itself would create the file without write permission for the group, ignoring the umask
    with closing(sqlite3.connect(path, timeout=_WRITE_TIMEOUT)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # faster; no data are lost if a power failure corrupts the store
        for table in tables:
            connection.execute(table)
        yield connection


def is_damaged(error: Exception) -> bool:
    """Return whether an error shows that a store must be created again: its content is damaged or not of this format.

    A store that is locked, full or not writable is not damaged.
    """
    if isinstance(error, sqlite3.OperationalError):  # first, because it is a subclass of DatabaseError
        # The generic error: a table that another program has written lacks a column.
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    return isinstance(error, sqlite3.DatabaseError | ValueError | TypeError)


def set_aside(store: Path) -> None:
    """Rename a damaged store and its journals, so that the next `open_store` creates it again.

    Nothing is removed, because `data.cache_dir` may name a folder where this is somebody's own file.
    """
    for leftover in store.parent.glob(f"{glob.escape(store.name)}*"):
        if leftover.suffix != _DAMAGED:
            leftover.rename(f"{leftover}{_DAMAGED}")


@contextmanager
def open_store_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store without changing anything on disk.

    The file may come from a stranger. It holds plain tables only: a view could run for hours when it is read.

    Args:
        path: The SQLite file.

    Raises:
        OSError: The file cannot be opened.
        UnusableContentError: It is no regular file, or no store.
        sqlite3.Error: It is damaged.
    """
    with open_regular(path) as file:
        head = file.read(20)
    if head[:16] != _HEAD or head[18:] != _NO_LOG:
        raise UnusableContentError("is no SQLite file of usaggr")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, timeout=_WRITE_TIMEOUT, uri=True)) as connection:
        unsafe = "type IN ('view', 'trigger') OR sql LIKE 'CREATE VIRTUAL%'"
        if connection.execute(f"SELECT COUNT(*) FROM sqlite_master WHERE {unsafe}").fetchone()[0]:
            raise UnusableContentError("is no SQLite file of usaggr")
        yield connection
