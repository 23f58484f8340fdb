"""What may be removed from a study's directory: runs no longer asked for, weights, and what dead processes left.

Planned results are never touched, and nothing outside the directory is.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from usaggr.errors import RunError
from usaggr.io.locks import exclusive
from usaggr.results import contract
from usaggr.results.find_runs import find_runs, is_done, run_directories
from usaggr.results.plan import read_plan
from usaggr.results.run_directory import STALE_SECONDS, RunDirectory
from usaggr.results.run_settings import stored_fingerprint

Kind = Literal["unplanned run", "weights", "leftover"]
_TEMPORARY = re.compile(r"^\..+\.\d+(-\d+)?\.tmp$")
"""Files that a killed process has not moved to their place."""


@dataclass(frozen=True)
class Removable:
    """A file or folder that nothing needs any more."""

    kind: Kind
    path: Path
    bytes: int
    directory: Path
    """The study's, which it lies in."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.path} ({size(self.bytes)})"


def removable(directory: Path) -> list[Removable]:
    """What could be removed, in the order of runs.

    These are: runs that plan.csv does not list (unless a process is at work in them); weights of finished planned runs
    that no planned run has yet to start from; temporary files of processes that are gone.

    Raises:
        RunError: no plan.csv, or one that cannot be read: then nobody knows what is planned.
    """
    rows = read_plan(directory)
    planned = {row.fingerprint for row in rows}
    names = {row.run_id for row in rows}
    found = find_runs(directory)
    done = {fingerprint for fingerprint, path in found.items() if is_done(path)}
    # A run's name ends in the first eight digits of its fingerprint.
    needed = {row.parent[-8:] for row in rows if row.parent and row.fingerprint not in done}
    items = [_item("leftover", path, directory) for path in _temporaries(directory)]
    for path in run_directories(directory):
        fingerprint = stored_fingerprint(path)
        if path.is_symlink() or (fingerprint is None and not (path / contract.STATUS).exists()):
            continue  # nothing that a sweep has made
        asked = path.name in names if fingerprint is None else fingerprint in planned
        if RunDirectory(path).state() == "running":
            continue
        if not asked:
            items.append(_item("unplanned run", path, directory))
            continue
        items += [_item("leftover", left, directory) for left in _temporaries(path)]
        if fingerprint in done and fingerprint[:8] not in needed and is_done(path) and (path / "weights").is_dir():
            items.append(_item("weights", path / "weights", directory))
    return items


def remove(items: Sequence[Removable]) -> int:
    """Remove these, as far as they are still what they were; the bytes set free.

    A run is removed under its lock, so that no sweep begins it meanwhile.

    Raises:
        RunError: an item does not lie in its study's directory.
    """
    return sum(item.bytes for item in items if _remove(item))


def size(count: int) -> str:
    """Bytes as people write them.

    >>> [size(n) for n in (0, 1023, 1536, 5 * 2**20, 3 * 2**40)]
    ['0 B', '1023 B', '1.5 KiB', '5.0 MiB', '3072.0 GiB']
    """
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def _remove(item: Removable) -> bool:
    if not item.path.parent.resolve().is_relative_to(item.directory.resolve()) or item.path.is_symlink():
        raise RunError(f"{item.path}: does not lie in {item.directory}; nothing was removed of it")
    match item.kind:
        case "leftover":
            item.path.unlink(missing_ok=True)
            return True
        case "weights":
            if not is_done(item.path.parent):
                return False
            shutil.rmtree(item.path, ignore_errors=True)
            return not item.path.exists()
        case "unplanned run":
            if not item.path.is_dir() or RunDirectory(item.path).state() == "running":
                return False
            with exclusive(item.path / ".lock") as free:
                if free:
                    shutil.rmtree(item.path, ignore_errors=True)
            return not item.path.exists()


def _item(kind: Kind, path: Path, directory: Path) -> Removable:
    files = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    paths = files if path.is_dir() else iter((path,))
    return Removable(kind, path, sum(file.lstat().st_size for file in paths), directory)


def _temporaries(folder: Path) -> Iterator[Path]:
    before = time.time() - STALE_SECONDS  # such a file lives for milliseconds
    for path in sorted(folder.iterdir()):
        if _TEMPORARY.match(path.name) and path.is_file() and path.lstat().st_mtime < before:
            yield path
