"""A report of a stranger's results writes in its own folder and nowhere else."""

import json
import os
import sqlite3
from pathlib import Path

import pytest
import yaml

from tests.report.tasks.test_examples import make_study
from usaggr.data.read.file_facts import _make_store_name
from usaggr.io.sqlite_store import open_store, open_store_to_read
from usaggr.report.build import build_report
from usaggr.results.contract import STUDY


def list_tree(folder: Path) -> dict[str, tuple[int, int, int, int]]:
    """Return the inode, mode, size and time of everything in a tree, without what a report writes."""
    paths = [Path(home) / name for home, folders, files in os.walk(folder) for name in (*folders, *files)]
    entries = {str(path.relative_to(folder)): path.lstat() for path in paths}
    return {
        name: (stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime_ns if not name.endswith("sweep") else 0)
        for name, stat in entries.items()
        if not name.startswith(("sweep/report", "sweep/.report."))
    }


STORES = ("missing", "empty", "other tables", "a view", "a pipe", "a new folder")
"""Content of `data.cache_dir` of the stranger's study under the name of the store."""


@pytest.mark.parametrize("store", ["text", *(pytest.param(store, marks=pytest.mark.slow) for store in STORES)])
def test_a_report_changes_nothing_outside_its_folder(tmp_path: Path, store: str) -> None:
    study = make_study(tmp_path)
    home = tmp_path / ("victim" if store != "a new folder" else "victim/new")
    (tmp_path / "victim").mkdir()
    file = home / _make_store_name()
    match store:
        case "text":
            file.write_text("my notes")
        case "empty":
            file.touch()
        case "other tables":
            with sqlite3.connect(file) as connection:
                connection.execute("CREATE TABLE mine (a INTEGER)")
        case "a view":
            endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS path FROM n"
            with sqlite3.connect(file) as connection:
                connection.execute(f"CREATE VIEW facts AS {endless}")
        case "a pipe":
            os.mkfifo(file)
    settings = yaml.safe_load((study.sweep.directory / STUDY).read_text())
    settings["data"]["cache_dir"] = str(home)
    (study.sweep.directory / STUDY).write_text(yaml.safe_dump(settings))
    before = list_tree(tmp_path)
    report = build_report([study.sweep.directory])
    assert list_tree(tmp_path) == before
    assert list((report / "samples").glob("*.jpg"))  # the data were read although nothing is kept


def test_the_store_of_the_sweep_is_still_used_to_read(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with open_store(path, ["CREATE TABLE IF NOT EXISTS facts (a TEXT PRIMARY KEY) WITHOUT ROWID"]) as store, store:
        store.execute("INSERT INTO facts VALUES (?)", (json.dumps([1]),))
    with open_store_to_read(path) as store:
        assert store.execute("SELECT a FROM facts").fetchall() == [("[1]",)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            store.execute("DELETE FROM facts")


def test_a_lock_of_a_report_that_is_a_link_creates_no_file_elsewhere(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    (study.sweep.directory / ".report.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"report\.lock: cannot be written"):
        build_report([study.sweep.directory])
    assert not (tmp_path / "elsewhere").exists()
