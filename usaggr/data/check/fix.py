"""`usaggr data check --fix DIR`: a corrected data set beside the original, which is never written to.

DIR is a root of its own, read like any other: new index files, masks that were converted, and hard links to all other
files. Links take no room and no time, stay valid if the original is moved or removed, and lie within the new root, as
the reader asks.
"""

import csv
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from usaggr.config.study import DataConfig
from usaggr.data.check.repairs import Mended, mend_row
from usaggr.data.read.images import read_mask
from usaggr.data.read.index import IndexRow, read_index
from usaggr.data.read.load_dataset import check_dataset
from usaggr.data.read.paths import FileFinder, FoundFile, data_root
from usaggr.data.samples import Fault
from usaggr.errors import DataError
from usaggr.progress import Progress

LOG = "fix_log.csv"
CONVERTED = "converted_masks"
"""Folder of masks whose values were changed."""
_FILES = ("image_path", "mask_path")


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the log."""

    file: str
    """Name of the index file."""
    row: int
    """Line in the original index file; the header is line 1."""
    column: str
    what: str
    before: str
    after: str
    """Empty where the row was left out."""


@dataclass(frozen=True)
class Fixed:
    """What a correction did."""

    folder: Path
    rows: int
    """Of the corrected index."""
    changed: int
    """Rows that were mended."""
    left_out: int
    """Rows that are in the original index alone."""
    named: tuple[str, ...]
    """Rows that could not be mended, a line each."""

    def told(self) -> list[str]:
        """Lines for the user."""
        lines = [f"left out: {line}" for line in self.named]
        lines.append(
            f"corrected data: {self.folder}: {self.rows} rows, {self.changed} mended, {self.left_out} left out "
            f"({self.folder / LOG} says what was done); use them with data.root={self.folder}"
        )
        return lines


@dataclass
class _Kept:
    """A row of the corrected index."""

    origin: IndexRow
    cells: dict[str, str]
    changes: list[Change]


def refuse_place(folder: Path, data: DataConfig) -> None:
    """Refuse a folder that corrected data must not be written to.

    Raises:
        DataError: data without an index of their own, a folder in the original or around it, or one that is not empty.
    """
    if data.name == "synthetic":
        raise DataError("--fix: the phantoms have no faults; it corrects an index of your own (data=fmuia)")
    root, place = data_root(data), folder.expanduser().resolve()
    if place == root or place.is_relative_to(root) or root.is_relative_to(place):
        raise DataError(f"--fix {folder}: is, holds or lies in the original {root}; give a new folder beside it")
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise DataError(f"--fix {folder}: is there already and not empty; give a new folder")


def fix_data(data: DataConfig, folder: Path, copy: bool, progress: Progress) -> Fixed:
    """Write corrected data to a new folder, with a log of every change, and check that no fault is left.

    Raises:
        DataError: the folder cannot be used (`refuse_place`), no row can be kept, or a file cannot be linked.
    """
    refuse_place(folder, data)
    root, place = data_root(data), folder.expanduser().resolve()
    _, faults = check_dataset(data, progress)
    log: list[Change] = []
    kept = _mended(root, data, faults, log)
    finder = FileFinder(str(root))
    corrected = data.model_copy(update={"root": str(place), "on_bad_sample": "skip"})
    while True:
        if not kept:
            raise DataError(f"--fix {folder}: no row can be kept; mend the index by hand")
        _write(kept, finder, place, copy, data, progress)
        _, left = check_dataset(corrected, progress)
        if not left:
            break
        kept = _without(kept, left, log)
    log += [change for row in kept for change in row.changes]
    _write_log(log, place / LOG)
    gone = {(change.file, change.row) for change in log if not change.after}
    named: dict[tuple[str, int], list[str]] = defaultdict(list)
    for change in log:
        if not change.after and change.what != "duplicate":
            named[change.file, change.row].append(f"{change.column}: {change.before}")
    told = tuple(f"{file}, line {row}, " + "; ".join(named[file, row]) for file, row in sorted(named))
    return Fixed(folder, len(kept), sum(bool(row.changes) for row in kept), len(gone), told)


def _mended(root: Path, data: DataConfig, faults: Sequence[Fault], log: list[Change]) -> list[_Kept]:
    """Rows without a fault as they are, others mended where that is possible; what is left out goes to the log."""
    by_row: dict[tuple[str, int], list[Fault]] = defaultdict(list)
    for fault in faults:
        by_row[fault.csv_file, fault.row].append(fault)
    rows, _ = read_index(root)
    kept: list[_Kept] = []
    finder = FileFinder(str(root))
    for row in rows:
        wrong = by_row.pop((row.csv_file, row.line), [])
        mended = mend_row(row, wrong, finder, data.max_pixels) if wrong else Mended(row.cells, ())
        if mended is None:
            log += [_gone(fault) for fault in wrong]
        else:
            changes = [Change(row.csv_file, row.line, *step) for step in mended.steps]
            kept.append(_Kept(row, dict(mended.cells), changes))
    log += [_gone(fault) for wrong in by_row.values() for fault in wrong]
    return kept


def _gone(fault: Fault) -> Change:
    what = "duplicate" if fault.kind == "duplicate" else f"left out: {fault.kind}"
    before = f"{fault.file} {fault.message}".strip()
    return Change(fault.csv_file, fault.row, fault.column, what, before, "")


def _without(kept: Sequence[_Kept], faults: Iterable[Fault], log: list[Change]) -> list[_Kept]:
    """Rows of the corrected index less those that are still at fault, such as mended ones that repeat another."""
    by_row = defaultdict(list)
    for fault in faults:
        by_row[fault.csv_file, fault.row].append(fault)
    lines: dict[str, int] = defaultdict(lambda: 2)  # where the next row of each file begins
    sound: list[_Kept] = []
    for row in kept:
        name = row.origin.csv_file
        wrong = by_row.get((name, lines[name]))
        lines[name] += 1 + sum(cell.count("\n") for cell in row.cells.values())
        if wrong is None:
            sound.append(row)
        else:
            log += [_gone(replace(fault, row=row.origin.line)) for fault in wrong]
    return sound


def _write(
    kept: Sequence[_Kept], finder: FileFinder, place: Path, copy: bool, data: DataConfig, progress: Progress
) -> None:
    """Put files and index into the folder; files that are there from a round before stay."""
    progress.start("writing corrected data", len(kept))
    try:
        for row in kept:
            converted = {change.column for change in row.changes if change.what == "mask_255"}
            for column in _FILES:
                found = finder.find(row.origin.text(column)) if row.cells.get(column) else None
                if isinstance(found, FoundFile):
                    _place_file(row, column, found, Path(finder.root), place, column in converted, copy, data)
            progress.advance()
    finally:
        progress.finish()
    shutil.rmtree(place / "csv_files", ignore_errors=True)
    (place / "csv_files").mkdir(parents=True)
    files: dict[str, list[_Kept]] = defaultdict(list)
    for row in kept:
        files[row.origin.csv_file].append(row)
    for name, rows in files.items():
        columns = list(dict.fromkeys(column for row in rows for column in row.origin.cells))
        with (place / "csv_files" / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(row.cells for row in rows)


def _place_file(
    row: _Kept, column: str, found: FoundFile, root: Path, place: Path, convert: bool, copy: bool, data: DataConfig
) -> None:
    """Put one file where the corrected row looks for it, and say so in the row's cell."""
    inside = os.path.normpath(f"csv_files/{row.origin.text(column)}")
    if inside.startswith(".."):  # by the root's own name, or through a link
        inside = os.path.relpath(found.path, root)
    if convert:
        inside = f"{CONVERTED}/{inside if inside.lower().endswith('.png') else inside + '.png'}"
    target = place / inside
    if convert or os.path.normpath(f"csv_files/{row.origin.text(column)}").startswith(".."):
        row.cells[column] = f"../{inside}"
        row.changes[:] = [replace(c, after=row.cells[column]) if c.column == column else c for c in row.changes]
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if convert:
        from PIL import Image

        Image.fromarray(read_mask(Path(found.path), True, data.max_pixels)).save(target)
    elif copy:
        shutil.copy2(found.path, target)
    else:
        try:
            os.link(found.path, target)
        except OSError as error:
            raise DataError(
                f"{target}: cannot be made as a link to {found.path} ({error.strerror}); --copy copies files instead "
                f"(remove {place} first)"
            ) from error


def _write_log(log: Sequence[Change], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "row", "column", "what", "before", "after"])
        for c in sorted(log, key=lambda c: (c.file, c.row, c.column)):
            writer.writerow([c.file, c.row, c.column, c.what, c.before, c.after])
