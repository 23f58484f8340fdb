"""Removal of files in a study's directory: unplanned runs, weights without a use, and leftovers of dead processes.

Results of planned runs and files outside the directory are never removed. Weights of planned, finished runs stay unless
the study wants none, or their removal is requested.
"""

import os
import re
import shutil
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from usaggr.errors import RunError
from usaggr.io.locks import hold_lock
from usaggr.io.terminal_text import escape_line
from usaggr.results import contract
from usaggr.results.find_runs import find_runs, is_done, run_directories
from usaggr.results.plan import PlanRow, read_plan
from usaggr.results.plan_coverage import check_coverage, check_not_empty, is_unlisted
from usaggr.results.run_directory import STALE_SECONDS, RunDirectory
from usaggr.results.run_settings import read_fingerprint
from usaggr.results.stored_study import StudyFacts, read_source

Kind = Literal["unplanned run", "weights", "retrained run", "leftover"]
_TEMPORARY = re.compile(r"^\..+\.\d+(-\d+)?\.tmp$")
"""Names of temporary files; such a file remains if a process is killed before it renames the file."""


@dataclass(frozen=True)
class Removable:
    """A file or folder that is no longer needed."""

    kind: Kind
    path: Path
    bytes: int
    directory: Path
    """Directory of the study that contains it."""
    has_weights: bool = False
    """True for a run that contains kept weights."""

    def __str__(self) -> str:
        weights = ", with its weights" if self.has_weights else ""
        return escape_line(f"{self.kind}: {self.path} ({format_size(self.bytes)}{weights})")


def list_removable(directory: Path, weights: bool = False) -> list[Removable]:
    """List everything that can be removed, in the order of runs.

    * Runs that plan.csv does not list (unplanned runs), unless a process is training them.
    * Weights of finished planned runs, if the study wants none (`training.keep_weights=none`) or `weights` is true,
      unless an unfinished planned run starts from them.
    * Runs that were trained again for their weights, if they are no longer needed or `weights` is true.
    * Temporary files of processes that have ended.

    Args:
        directory: directory of the study.
        weights: whether wanted weights can be removed too.

    Raises:
        RunError: plan.csv cannot be read, or contradicts study.yaml or the runs, so that it is unknown which runs are
            planned.
    """
    plan_rows = read_plan(directory)
    study = _read_study(directory)
    _check_names(directory, plan_rows)
    planned_fingerprints = {row.fingerprint for row in plan_rows}
    planned_names = {row.run_id for row in plan_rows}
    paths = find_runs(directory)
    finished = {fingerprint for fingerprint, path in paths.items() if is_done(path)}
    # A run's name ends in the first eight digits of its fingerprint; `parent` is the name of a run.
    parent_digits = {row.parent[-8:] for row in plan_rows if row.parent and row.fingerprint not in finished}
    keeps_weights = not weights and _keeps_weights(study)
    items = [_measure("leftover", path, directory) for path in _list_temporary(directory)]
    items += _list_retrained(directory, paths, planned_fingerprints, weights)
    for path in run_directories(directory):
        fingerprint = read_fingerprint(path)
        if path.is_symlink() or (fingerprint is None and not (path / contract.STATUS).exists()):
            continue  # not written by a sweep
        is_planned = path.name in planned_names if fingerprint is None else fingerprint in planned_fingerprints
        if RunDirectory(path).read_state() == "running":
            continue
        if not is_planned:
            # Without its line in plan.csv, a finished run of the study would look unplanned.
            if study is None or not is_done(path) or not is_unlisted(path, study, plan_rows):
                items.append(_measure("unplanned run", path, directory))
            continue
        items += [_measure("leftover", file, directory) for file in _list_temporary(path)]
        if (
            not keeps_weights
            and fingerprint in finished
            and fingerprint[:8] not in parent_digits
            and is_done(path)
            and (path / "weights").is_dir()
        ):
            items.append(_measure("weights", path / "weights", directory))
    return items


def describe_kept_weights(directory: Path, items: Sequence[Removable]) -> Iterator[str]:
    """Yield a line about the weights of runs that stay, if there are any.

    Args:
        directory: directory of the study.
        items: items that can be removed.
    """
    removable = {item.path for item in items}
    folders = [
        path / "weights"
        for path in run_directories(directory)
        if (path / contract.WEIGHTS).is_file() and removable.isdisjoint({path, path / "weights"})
    ]
    if folders:
        size = format_size(sum(_measure("weights", folder, directory).bytes for folder in folders))
        count = "1 run" if len(folders) == 1 else f"{len(folders)} runs"
        yield f"weights of {count} stay ({size}); --weights removes those of finished runs"


def _keeps_weights(study: StudyFacts | None) -> bool:
    """Return whether a study wants the weights of its finished runs; True if this is unknown."""
    if study is None or study.get_setting("training.keep_weights") != "none":
        return True
    return any("keep_weights" in override for overrides in study.variants.values() for override in overrides)


def _list_retrained(
    directory: Path, paths: Mapping[str, Path], planned: Container[str], weights: bool
) -> Iterator[Removable]:
    """Yield the runs that were trained again for their weights and that no process is training.

    Args:
        directory: directory of the study.
        paths: directory of each run by fingerprint.
        planned: fingerprints of the planned runs.
        weights: whether also those are listed from which `usaggr sweep --weights` would continue.
    """
    folder = directory / contract.RETRAINED
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        fingerprint = read_fingerprint(path)
        if fingerprint is None or path.is_symlink() or RunDirectory(path).read_state() == "running":
            continue
        run = paths.get(fingerprint)
        is_needed = fingerprint in planned and run is not None and not (run / contract.WEIGHTS).is_file()
        if weights or not is_needed:
            yield _measure("retrained run", path, directory)


def _read_study(directory: Path) -> StudyFacts | None:
    """Return the study of a directory, after checking that plan.csv lists its runs; None without a study.yaml.

    Raises:
        RunError: a file is damaged, or plan.csv does not list the runs of the study.
    """
    if not (directory / contract.STUDY).is_file():
        return None
    source = read_source(directory)
    check_not_empty(source)
    check_coverage(source)
    return source.study


def _check_names(directory: Path, plan_rows: Sequence[PlanRow]) -> None:
    """Check that no directory has the name of a planned run and the fingerprint of another one.

    Raises:
        RunError: a fingerprint in plan.csv has changed.
    """
    for row in plan_rows:
        path = directory / "runs" / row.run_id
        fingerprint = read_fingerprint(path)
        if fingerprint is not None and fingerprint != row.fingerprint and fingerprint[:8] == row.run_id[-8:]:
            raise RunError(
                f"{directory / contract.PLAN}: the fingerprint of {row.run_id} is not that of its directory; it was "
                "changed: restore it, or run the same `usaggr sweep`, which writes it again"
            )


def remove(items: Sequence[Removable]) -> int:
    """Remove items that have not changed meanwhile, and return the number of freed bytes.

    A run is removed under its lock, so that no sweep starts it meanwhile.

    Raises:
        RunError: an item is not in its study's directory.
    """
    return sum(item.bytes for item in items if _remove(item))


def format_size(count: int) -> str:
    """Format a number of bytes with a unit.

    >>> [format_size(n) for n in (0, 1023, 1536, 5 * 2**20, 3 * 2**40)]
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
        raise RunError(f"{item.path}: is not in {item.directory}; it was not removed")
    match item.kind:
        case "leftover":
            item.path.unlink(missing_ok=True)
            return True
        case "weights":
            if not is_done(item.path.parent):
                return False
            shutil.rmtree(item.path, ignore_errors=True)
            return not item.path.exists()
        case "unplanned run" | "retrained run":
            if not item.path.is_dir() or RunDirectory(item.path).read_state() == "running":
                return False
            with hold_lock(item.path / ".lock") as is_locked:
                if is_locked:
                    shutil.rmtree(item.path, ignore_errors=True)
            return not item.path.exists()


def _measure(kind: Kind, path: Path, directory: Path) -> Removable:
    """Return an item with its size.

    Args:
        kind: kind of the item.
        path: its file or folder.
        directory: directory of the study.
    """
    files = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    paths = files if path.is_dir() else iter((path,))
    has_weights = kind == "unplanned run" and (path / contract.WEIGHTS).is_file()
    return Removable(kind, path, sum(file.lstat().st_size for file in paths), directory, has_weights)


def _list_temporary(folder: Path) -> Iterator[Path]:
    """Yield the temporary files of a folder that no living process can be writing."""
    latest_time = time.time() - STALE_SECONDS  # a temporary file normally exists for milliseconds
    for path in sorted(folder.iterdir()):
        if _TEMPORARY.match(path.name) and path.is_file() and path.lstat().st_mtime < latest_time:
            yield path
