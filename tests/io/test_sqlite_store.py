"""A store is created with its tables, keeps its content, and has the mode that follows from the user's umask."""

import os
import sqlite3
from pathlib import Path

import pytest

from usaggr.io.sqlite_store import open_store

TABLES = ("CREATE TABLE IF NOT EXISTS numbers (n INTEGER)", "CREATE TABLE IF NOT EXISTS words (w TEXT)")


def test_committed_rows_are_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with open_store(path, TABLES) as connection, connection:
        connection.execute("INSERT INTO numbers VALUES (7)")
    with open_store(path, TABLES) as connection:
        connection.execute("INSERT INTO numbers VALUES (8)")  # never committed
    with open_store(path, TABLES) as connection:
        assert connection.execute("SELECT n FROM numbers").fetchall() == [(7,)]
        assert connection.execute("SELECT w FROM words").fetchall() == []
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT n FROM numbers")


def test_a_group_may_write_a_new_store_if_the_umask_allows_it(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with open_store(tmp_path / "store.sqlite", TABLES):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "store.sqlite").stat().st_mode & 0o777 == 0o664


def test_a_file_that_is_not_a_store_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_text("this is a text, and long enough to be read as a header of a file")
    with pytest.raises(sqlite3.DatabaseError), open_store(path, TABLES):
        pass
    assert path.read_text().startswith("this is a text")
