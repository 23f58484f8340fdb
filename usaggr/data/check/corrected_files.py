"""Writer of the files of corrected data: index, converted masks, log, and links to or copies of all other files."""

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
_FILE_COLUMNS = ("image_path", "mask_path")
"""Columns of an index that name a file."""


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
    """Cell before the repair; file and message of the error if the row was left out."""
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
    mask_context: MaskContext | None = None
    """Facts that `convert_mask` needs; None if the mask file is not converted."""
    paths: dict[str, str] = field(default_factory=dict)
    """Paths in the corrected data by column, where they differ from those of the original files."""
    repaired_kinds: set[str] = field(default_factory=set)
    """Kinds of errors that were repaired. If one of them occurs again in this row, the row is left out."""

    @property
    def current(self) -> IndexRow:
        """The row with its corrected cells."""
        return replace(self.origin, cells=self.cells)

    @property
    def written_cells(self) -> dict[str, str]:
        """Cells of this row in the corrected index: `cells`, with the paths of `paths`."""
        return {**self.cells, **self.paths}

    @property
    def logged_changes(self) -> list[Change]:
        """Changes, with the paths that were written."""
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
        """Write the file of one cell, and store its path in `row.paths` if it differs from the cell.

        A converted mask gets a new path, and so does a file whose path leaves the root and comes back:
        `../../NAME_OF_ROOT/images/1.png`, or a path through a link that leads into the root. A cell that is empty, or
        whose file cannot be used, is skipped.

        Raises:
            DataError: The file cannot be linked, or has changed.
        """
        text = row.cells.get(column, "")
        file = self.finder.find(text) if text else None
        if not isinstance(file, ListedFile):
            return
        relative_path = os.path.normpath(f"csv_files/{text}")
        if relative_path.startswith("../"):
            written = Path(os.path.normpath(f"{self.finder.root}/csv_files/{text}"))
            # The finder accepts a path only if it or its folder is inside the root. The file may be a link out of it.
            inside = written if written.is_relative_to(self.finder.root) else written.parent.resolve() / written.name
            relative_path = os.path.relpath(inside, self.finder.root)
            row.paths[column] = f"../{relative_path}"
        if column == "mask_path" and row.mask_context is not None:
            row.paths[column] = f"../{self._convert(row, row.mask_context, relative_path, Path(file.path))}"
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
            row: Row of the mask.
            context: Facts that `convert_mask` needs.
            relative_path: Path of the original mask relative to the root.
            file: The original mask.

        Raises:
            DataError: The mask has changed since it was checked.
        """
        from PIL import Image

        converted = convert_mask(file, context)
        if converted is None:
            raise DataError(f"{file}: has changed while corrected data were written; run the same command again")
        values, _ = converted
        suffix = "" if relative_path.lower().endswith(".png") else ".png"
        path = f"{CONVERTED}/{relative_path}{suffix}"
        digest = hashlib.sha256(values.tobytes()).hexdigest()
        if self._digests.setdefault(path, digest) != digest:  # two tasks convert the same file in different ways
            path = f"{CONVERTED}/{row.origin.get_text('task_id')}/{relative_path}{suffix}"
        if not (self.target / path).exists():
            (self.target / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(self.target / path)
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
    """Write all files and the index into the corrected folder.

    This is called once per round of repairs: files that exist are kept, and the index is written again.

    Args:
        corrected_rows: All rows of the corrected index.
        writer: Writer of the folder's files.
        progress: Receives the number of rows whose files are written.
    """
    progress.start("writing corrected data", len(corrected_rows))
    try:
        for row in corrected_rows:
            for column in _FILE_COLUMNS:
                writer.write(row, column)
            progress.advance()
    finally:
        progress.finish()
    index_folder = writer.target / "csv_files"
    index_folder.mkdir(parents=True, exist_ok=True)
    # Only index files are removed: images may be in the same folder.
    for path in index_folder.iterdir():
        if path.suffix.lower() == ".csv":
            path.unlink()
    by_file: dict[str, list[CorrectedRow]] = defaultdict(list)
    for row in corrected_rows:
        by_file[row.origin.csv_file].append(row)
    for name, file_rows in by_file.items():
        columns = list(dict.fromkeys(column for row in file_rows for column in row.written_cells))
        with (index_folder / name).open("w", newline="", encoding="utf-8") as file:
            csv_writer = csv.DictWriter(file, columns, lineterminator="\n")
            csv_writer.writeheader()
            csv_writer.writerows(row.written_cells for row in file_rows)


def map_lines_to_rows(corrected_rows: Sequence[CorrectedRow]) -> dict[tuple[str, int], CorrectedRow]:
    """Return the rows by index file and line in the corrected index."""
    # Line at which the next row of each file begins, from 2 because of the header. A row takes further lines if its
    # cells have line breaks.
    next_lines: dict[str, int] = defaultdict(lambda: 2)
    rows_by_line: dict[tuple[str, int], CorrectedRow] = {}
    for row in corrected_rows:
        name = row.origin.csv_file
        rows_by_line[name, next_lines[name]] = row
        next_lines[name] += 1 + sum(cell.count("\n") for cell in row.written_cells.values())
    return rows_by_line


def write_log(log: Sequence[Change], path: Path) -> None:
    """Write the log, sorted by index file, line and name of the column."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "row", "column", "what", "before", "after"])
        for c in sorted(log, key=lambda c: (c.file, c.row, c.column)):
            writer.writerow([c.file, c.row, c.column, c.repair, c.before, c.after])
