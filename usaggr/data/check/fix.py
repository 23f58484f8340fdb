"""The command `usaggr data check --fix DIR`: a corrected data set in a new folder; the original is never changed.

DIR is a complete data set: new index files, converted masks, and hard links to all other files. Links need no space and
no time, and stay valid if the original is moved or removed. They are inside the new root, as the reader requires.
"""

import csv
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from usaggr.config.study import DataConfig
from usaggr.data.check.repairs import RepairedRow, repair_row
from usaggr.data.read.images import read_mask
from usaggr.data.read.index import IndexRow, read_index
from usaggr.data.read.load_dataset import check_dataset
from usaggr.data.read.paths import FileFinder, ListedFile, find_data_root
from usaggr.data.samples import Fault
from usaggr.errors import DataError
from usaggr.io.home import expand_home
from usaggr.progress import Progress

LOG = "fix_log.csv"
"""File name of the log of changes."""
CONVERTED = "converted_masks"
"""Folder of masks whose values were changed."""
_FILES = ("image_path", "mask_path")


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log."""

    file: str
    """Name of the index file."""
    row: int
    """Line in the original index file; the header is line 1."""
    column: str
    repair: str
    """Name of the repair, or the reason why the row was left out."""
    before: str
    after: str
    """Cell after the repair; empty if the row was left out."""


@dataclass(frozen=True)
class FixResult:
    """Result of a correction."""

    folder: Path
    rows: int
    """Number of rows of the corrected index."""
    changed: int
    """Number of rows that were fixed."""
    left_out: int
    """Number of rows that were left out of the corrected index."""
    unfixed: tuple[str, ...]
    """Descriptions of the rows that could not be fixed, one line per row."""

    def describe(self) -> list[str]:
        """Return the lines that the command prints."""
        lines = [f"left out: {line}" for line in self.unfixed]
        lines.append(
            f"corrected data: {self.folder}: {self.rows} rows, {self.changed} fixed, {self.left_out} left out "
            f"(every change is in {self.folder / LOG}); use the data with data.root={self.folder}"
        )
        return lines


@dataclass
class _CorrectedRow:
    """A row of the corrected index."""

    origin: IndexRow
    """The row in the original index."""
    cells: dict[str, str]
    """Corrected text by column."""
    changes: list[Change]


def check_output_folder(folder: Path, data: DataConfig) -> None:
    """Check that corrected data can be written to a folder.

    Raises:
        DataError: The data are phantoms, the folder contains the original or is inside it, or it is not empty.
    """
    if data.name == "synthetic":
        raise DataError("--fix: the phantoms (data=synthetic) have no errors; use --fix with your index (data=fmuia)")
    root, target = find_data_root(data), expand_home(folder, "--fix").resolve()
    if target == root or target.is_relative_to(root) or root.is_relative_to(target):
        raise DataError(f"--fix {folder}: overlaps with the original data {root}; give a new folder next to it")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"--fix {folder}: exists and is not empty; give a new folder")


def fix_data(data: DataConfig, folder: Path, copy: bool, progress: Progress) -> FixResult:
    """Write corrected data to a new folder with a log of every change, and check that no error is left.

    Args:
        data: Configuration of the original data.
        folder: New folder for the corrected data.
        copy: True to copy files instead of linking them.
        progress: Shows the progress of checking and writing.

    Raises:
        DataError: The folder cannot be used (`check_output_folder`), no valid row is left, or a file cannot be linked.
    """
    check_output_folder(folder, data)
    root, target = find_data_root(data), expand_home(folder, "--fix").resolve()
    _, faults = check_dataset(data, progress)
    log: list[Change] = []
    corrected_rows = _repair_rows(root, data, faults, log)
    writer = _FileWriter(FileFinder(str(root), data.follow_links), target, copy, data.max_pixels)
    corrected = data.model_copy(update={"root": str(target), "on_bad_sample": "skip"})
    # Repeated until the data are valid: a repaired row may repeat another row, which only this check finds.
    while True:
        if not corrected_rows:
            raise DataError(f"--fix {folder}: no valid row is left, so nothing was written; correct the index by hand")
        _write_data(corrected_rows, writer, progress)
        _, remaining_faults = check_dataset(corrected, progress)
        if not remaining_faults:
            break
        corrected_rows = _remove_invalid(corrected_rows, remaining_faults, log)
    log += [change for row in corrected_rows for change in row.changes]
    _write_log(log, target / LOG)
    return FixResult(
        folder,
        rows=len(corrected_rows),
        changed=sum(bool(row.changes) for row in corrected_rows),
        left_out=len({(change.file, change.row) for change in log if not change.after}),
        unfixed=_describe_unfixed(log),
    )


def _describe_unfixed(log: Sequence[Change]) -> tuple[str, ...]:
    """Return one line for each row that could not be fixed; dropped duplicates need no line."""
    reasons: dict[tuple[str, int], list[str]] = defaultdict(list)
    for change in log:
        if not change.after and change.repair != "duplicate":
            reasons[change.file, change.row].append(f"{change.column}: {change.before}")
    return tuple(f"{file}, line {row}, " + "; ".join(reasons[file, row]) for file, row in sorted(reasons))


def _repair_rows(root: Path, data: DataConfig, faults: Sequence[Fault], log: list[Change]) -> list[_CorrectedRow]:
    """Return the valid rows and the repaired rows; add the other rows to the log, as left out."""
    by_row: dict[tuple[str, int], list[Fault]] = defaultdict(list)
    for fault in faults:
        by_row[fault.csv_file, fault.row].append(fault)
    index_rows, _ = read_index(root, follow_links=data.follow_links)
    corrected_rows: list[_CorrectedRow] = []
    finder = FileFinder(str(root), data.follow_links)
    for row in index_rows:
        row_faults = by_row.pop((row.csv_file, row.line), [])
        repaired = repair_row(row, row_faults, finder, data.max_pixels) if row_faults else RepairedRow(row.cells, ())
        if repaired is None:
            log += [_make_left_out(fault) for fault in row_faults]
        else:
            changes = [Change(row.csv_file, row.line, *step) for step in repaired.steps]
            corrected_rows.append(_CorrectedRow(row, dict(repaired.cells), changes))
    # Errors of lines that `read_index` could not turn into rows, such as lines with too many cells.
    log += [_make_left_out(fault) for row_faults in by_row.values() for fault in row_faults]
    return corrected_rows


def _make_left_out(fault: Fault) -> Change:
    """Return the line of the log about a row that is left out because of an error."""
    repair = "duplicate" if fault.kind == "duplicate" else f"left out: {fault.kind}"
    before = f"{fault.file} {fault.message}".strip()
    return Change(fault.csv_file, fault.row, fault.column, repair, before, "")


def _remove_invalid(
    corrected_rows: Sequence[_CorrectedRow], faults: Iterable[Fault], log: list[Change]
) -> list[_CorrectedRow]:
    """Return the corrected rows without those that still have errors, such as repaired rows that repeat another."""
    by_row: dict[tuple[str, int], list[Fault]] = defaultdict(list)
    for fault in faults:
        by_row[fault.csv_file, fault.row].append(fault)
    # Line at which the next row of each file begins, from 2 because of the header. A row takes further lines if its
    # cells have line breaks.
    next_lines: dict[str, int] = defaultdict(lambda: 2)
    valid: list[_CorrectedRow] = []
    for row in corrected_rows:
        name = row.origin.csv_file
        row_faults = by_row.get((name, next_lines[name]))
        next_lines[name] += 1 + sum(cell.count("\n") for cell in row.cells.values())
        if row_faults is None:
            valid.append(row)
        else:
            log += [_make_left_out(replace(fault, row=row.origin.line)) for fault in row_faults]
    return valid


@dataclass(frozen=True)
class _FileWriter:
    """Writer of image and mask files into the corrected folder."""

    finder: FileFinder
    """Finds files of the original data."""
    target: Path
    """Root of the corrected data."""
    copy: bool
    """True to copy files, False to make hard links."""
    max_pixels: int

    def write(self, row: _CorrectedRow, column: str, convert: bool) -> None:
        """Write the file of one cell to the path that the corrected cell names.

        Usually the path is that of the original index. A converted mask gets a new path, and so does a file whose path
        leads out of the root and back (through the root's name or a link). Then the cell and its changes are updated.

        Args:
            row: the corrected row.
            column: name of the column that holds the path.
            convert: True for a mask of 0 and 255, which becomes a mask of class indices.
        """
        file = self.finder.find(row.origin.text(column)) if row.cells.get(column) else None
        if not isinstance(file, ListedFile):
            return
        relative_path = os.path.normpath(f"csv_files/{row.origin.text(column)}")
        leaves_root = relative_path.startswith("..")
        if leaves_root:
            relative_path = os.path.relpath(file.path, self.finder.root)
        if convert:
            suffix = "" if relative_path.lower().endswith(".png") else ".png"
            relative_path = f"{CONVERTED}/{relative_path}{suffix}"
        if convert or leaves_root:
            row.cells[column] = f"../{relative_path}"
            row.changes[:] = [replace(c, after=row.cells[column]) if c.column == column else c for c in row.changes]
        path = self.target / relative_path
        if path.exists():  # another row has the same file, or an earlier round of `fix_data` wrote it
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if convert:
            from PIL import Image

            Image.fromarray(read_mask(Path(file.path), True, self.max_pixels)).save(path)
        elif self.copy:
            shutil.copy2(file.path, path)
        else:
            self._link(file.path, path)

    def _link(self, source: str, path: Path) -> None:
        try:
            os.link(source, path)
        except OSError as error:  # another disk, or a file system without hard links
            raise DataError(
                f"{path}: cannot be created as a hard link to {source} ({error.strerror}); remove {self.target} and "
                "add --copy to copy the files instead"
            ) from error


def _write_data(corrected_rows: Sequence[_CorrectedRow], writer: _FileWriter, progress: Progress) -> None:
    """Write files and index into the corrected folder; files of an earlier round stay, its index is replaced."""
    progress.start("writing corrected data", len(corrected_rows))
    try:
        for row in corrected_rows:
            converted = {change.column for change in row.changes if change.repair == "mask_255"}
            for column in _FILES:
                writer.write(row, column, column in converted)
            progress.advance()
    finally:
        progress.finish()
    index_folder = writer.target / "csv_files"
    shutil.rmtree(index_folder, ignore_errors=True)
    index_folder.mkdir(parents=True)
    by_file: dict[str, list[_CorrectedRow]] = defaultdict(list)
    for row in corrected_rows:
        by_file[row.origin.csv_file].append(row)
    for name, file_rows in by_file.items():
        columns = list(dict.fromkeys(column for row in file_rows for column in row.origin.cells))
        with (index_folder / name).open("w", newline="", encoding="utf-8") as file:
            csv_writer = csv.DictWriter(file, columns, lineterminator="\n")
            csv_writer.writeheader()
            csv_writer.writerows(row.cells for row in file_rows)


def _write_log(log: Sequence[Change], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "row", "column", "what", "before", "after"])
        for c in sorted(log, key=lambda c: (c.file, c.row, c.column)):
            writer.writerow([c.file, c.row, c.column, c.repair, c.before, c.after])
