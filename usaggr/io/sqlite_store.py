"""A SQLite file in the cache folder, which several processes read and write; losing it costs time and nothing else."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

_PATIENCE = 60
"""Seconds to wait for another process that writes."""


@contextmanager
def open_store(path: Path, tables: Sequence[str]) -> Iterator[sqlite3.Connection]:
    """Open a store, which is made if it is missing; `with connection:` inside makes a transaction.

    Args:
        path: The file; its folder is there.
        tables: A statement `CREATE TABLE IF NOT EXISTS ...` for each of its tables.

    Raises:
        OSError: The file cannot be made.
        sqlite3.Error: It cannot be used, or is no SQLite file.
    """
    path.touch()  # SQLite would make it unwritable for the group, whatever the umask says
    with closing(sqlite3.connect(path, timeout=_PATIENCE)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # nobody has to wait for the disk
        for table in tables:
            connection.execute(table)
        yield connection
