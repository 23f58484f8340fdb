"""SQLite files in the cache folder that several processes read and write; everything in them can be computed again."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

_WRITE_TIMEOUT = 60
"""Seconds to wait while another process writes."""


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
