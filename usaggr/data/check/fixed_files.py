"""Writer of the files of corrected data: index files, converted masks, the log, and links to all other files."""

import csv
import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from usaggr.data.check.mask_repairs import MaskContext, convert_mask
from usaggr.data.read.index import IndexRow
from usaggr.data.read.paths import FileFinder, ListedFile
from usaggr.errors import DataError
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


@dataclass
class CorrectedRow:
    """A row of the corrected index."""

    origin: IndexRow
    """The row in the original index."""
    cells: dict[str, str]
    """Corrected text by column; paths are those of the original files."""
    changes: list[Change] = field(default_factory=list)
    mask: MaskContext | None = None
    """Facts by which the mask file is converted; None if it stays as it is."""
    paths: dict[str, str] = field(default_factory=dict)
    """Paths in the corrected data by column, where they differ from those of the original files."""
    repaired_kinds: set[str] = field(default_factory=set)
    """Kinds of errors that were repaired; each is tried once."""

    @property
    def current(self) -> IndexRow:
        """Return the row with its corrected cells."""
        return replace(self.origin, cells=self.cells)

    @property
    def written_cells(self) -> dict[str, str]:
        """Return the cells of the corrected index."""
        return {**self.cells, **self.paths}

    @property
    def logged_changes(self) -> list[Change]:
        """Return the changes, with the paths that were written."""
        return [replace(change, after=self.written_cells[change.column]) for change in self.changes]


@dataclass
class FileWriter:
    """Writer of image and mask files into the corrected folder."""

    finder: FileFinder
    """Finds files of the original data."""
    target: Path
    """Root of the corrected data."""
    copy: bool
    """True to copy files, False to make hard links."""
    _digests: dict[str, str] = field(default_factory=dict)
    """Hash of each converted mask by its path."""

    def write(self, row: CorrectedRow, column: str) -> None:
        """Write the file of one cell to the path that the corrected cell names.

        Usually the path is that of the original index. A converted mask gets a new path, and so does a file whose path
        leads out of the root and back (through the root's name or a link).
        """
        text = row.cells.get(column, "")
        file = self.finder.find(text) if text else None
        if not isinstance(file, ListedFile):
            return
        relative_path = os.path.normpath(f"csv_files/{text}")
        if relative_path.startswith(".."):
            inside = os.path.normpath(f"{self.finder.root}/csv_files/{text}")
            is_inside = inside.startswith(self.finder.root.rstrip("/") + "/")
            relative_path = os.path.relpath(inside if is_inside else file.path, self.finder.root)
            row.paths[column] = f"../{relative_path}"
        if column == "mask_path" and row.mask is not None:
            row.paths[column] = f"../{self._convert(row, row.mask, relative_path, Path(file.path))}"
            return
        path = self.target / relative_path
        if path.exists():  # another row has the same file, or an earlier round wrote it
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.copy:
            shutil.copy2(file.path, path)
        else:
            _link(file.path, path)

    def _convert(self, row: CorrectedRow, context: MaskContext, relative_path: str, file: Path) -> str:
        """Write a converted mask, and return its path relative to the root.

        Args:
            row: Its row.
            context: How it is converted.
            relative_path: Path of the original mask relative to the root.
            file: The original mask.
        """
        from PIL import Image

        converted = convert_mask(file, context)
        if converted is None:
            raise DataError(f"{file}: has changed while corrected data were written; run the same command again")
        suffix = "" if relative_path.lower().endswith(".png") else ".png"
        path = f"{CONVERTED}/{relative_path}{suffix}"
        digest = hashlib.sha256(converted[0].tobytes()).hexdigest()
        if self._digests.setdefault(path, digest) != digest:  # two tasks convert the same file in different ways
            path = f"{CONVERTED}/{row.origin.get_text('task_id')}/{relative_path}{suffix}"
        if not (self.target / path).exists():
            (self.target / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(converted[0]).save(self.target / path)
        return path


def _link(source: str, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError as error:  # another disk, or a file system without hard links
        raise DataError(
            f"{path}: cannot be created as a hard link to {source} ({error.strerror}); add --copy to copy the files "
            "instead"
        ) from error


def write_data(corrected_rows: Sequence[CorrectedRow], writer: FileWriter, progress: Progress) -> None:
    """Write files and index into the corrected folder; files of an earlier round stay, its index is replaced.

    Args:
        corrected_rows: All rows of the corrected index.
        writer: Writer of the folder's files.
        progress: Receives the number of rows that are written.
    """
    progress.start("writing corrected data", len(corrected_rows))
    try:
        for row in corrected_rows:
            for column in _FILES:
                writer.write(row, column)
            progress.advance()
    finally:
        progress.finish()
    index_folder = writer.target / "csv_files"
    shutil.rmtree(index_folder, ignore_errors=True)
    index_folder.mkdir(parents=True)
    by_file: dict[str, list[CorrectedRow]] = defaultdict(list)
    for row in corrected_rows:
        by_file[row.origin.csv_file].append(row)
    for name, file_rows in by_file.items():
        columns = list(dict.fromkeys(column for row in file_rows for column in row.written_cells))
        with (index_folder / name).open("w", newline="", encoding="utf-8") as file:
            csv_writer = csv.DictWriter(file, columns, lineterminator="\n")
            csv_writer.writeheader()
            csv_writer.writerows(row.written_cells for row in file_rows)


def find_lines(corrected_rows: Sequence[CorrectedRow]) -> dict[tuple[str, int], CorrectedRow]:
    """Return each row by index file and line in the corrected index."""
    # Line at which the next row of each file begins, from 2 because of the header. A row takes further lines if its
    # cells have line breaks.
    next_lines: dict[str, int] = defaultdict(lambda: 2)
    lines: dict[tuple[str, int], CorrectedRow] = {}
    for row in corrected_rows:
        name = row.origin.csv_file
        lines[name, next_lines[name]] = row
        next_lines[name] += 1 + sum(cell.count("\n") for cell in row.written_cells.values())
    return lines


def write_log(log: Sequence[Change], path: Path) -> None:
    """Write the log, sorted by position in the original index."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "row", "column", "what", "before", "after"])
        for c in sorted(log, key=lambda c: (c.file, c.row, c.column)):
            writer.writerow([c.file, c.row, c.column, c.repair, c.before, c.after])
