"""Reader of the index of a data set, from `csv_files/*.csv` to rows of text.

The format is that of the FM_UIA challenge. Files may have different columns. Only the shape of the tables is checked
here; `validation` checks the values.
"""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from usaggr.data.read.subject_names import clean_text, is_missing, is_missing_mark
from usaggr.data.samples import Fault
from usaggr.document.display_names import pluralize
from usaggr.errors import DataError
from usaggr.io.bounded_content import parse_csv
from usaggr.io.bounded_files import MEBIBYTE, UnusableContentError, read_bounded
from usaggr.tasks import TASK_TYPES, TaskType, get_least_classes

REQUIRED = ("image_path", "task_name", "task_id", "num_classes")
"""Columns that every index file must have."""


def list_label_columns(task_type: TaskType, num_classes: int) -> tuple[str, ...]:
    """Return the names of the columns that contain a task's labels.

    Args:
        task_type: Type of the task.
        num_classes: Number of classes; the number of landmarks for regression.
    """
    match task_type:
        case "segmentation":
            return ("mask_path",)
        case "classification":
            return ("mask",)
        case "detection":
            return ("x_min", "y_min", "x_max", "y_max")
        case "regression":
            return tuple(f"point_{number}_xy" for number in range(1, num_classes + 1))
        case _:
            assert_never(task_type)


def format_task_type(task_type: TaskType) -> str:
    """Return a type of task as the challenge writes it in the column task_name; it is read in any letter case."""
    return "Regression" if task_type == "regression" else task_type


COLUMNS_BY_TYPE: dict[str, tuple[str, ...]] = {
    task_type: list_label_columns(task_type, get_least_classes(task_type)) for task_type in TASK_TYPES
}
"""Further columns that a file must have if it has rows of a type, by type."""

_MISSING = frozenset({"", "nan", "none", "null"})
"""Texts that table programs write into empty cells, in lower case."""
_LABEL_COLUMN = re.compile(r"task_name|num_classes|mask|split|[xy]_(min|max)|point_[0-9]+_xy")
"""Columns of numbers and fixed words, in which no character is part of a name."""
_LONGEST_MARK = 12
"""Length from which on a text is no mark of a missing value."""
_NUMBER_STARTS = tuple("0123456789[")

MAX_BYTES = 256 * MEBIBYTE
"""Largest size of an index file: about a million rows."""
MAX_QUOTED = 100
"""Largest number of characters of a cell that a message quotes."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One row of an index file."""

    csv_file: str
    """Name of the file."""
    line: int
    """First line of the row in the file; the header is line 1."""
    cells: dict[str, str]
    """Text without surrounding white space by column, without empty cells."""

    def get_text(self, column: str) -> str:
        """Return the text of a column; empty if the cell is empty or the column does not exist."""
        return self.cells.get(column, "")

    def make_fault(self, column: str, kind: str, message: str, file: str = "") -> Fault:
        """Make an error of this row.

        Args:
            column: Column with the error.
            kind: Short name of the kind of error.
            message: Description of the error.
            file: Path of the image or mask as written in the index; empty if the error is not in a file.
        """
        return Fault(self.csv_file, self.line, column, file, kind, message, self.get_text("task_id"))


def read_index(root: Path, labels: bool = True, follow_links: bool = False) -> tuple[list[IndexRow], list[Fault]]:
    """Read all rows of `<root>/csv_files/*.csv`, sorted by file name and line.

    Args:
        root: Folder that contains `csv_files/`.
        labels: True if the columns with labels are required, False to read images alone (prediction).
        follow_links: True to read index files that are links out of the root (`data.follow_links`).

    Returns:
        The rows, and the errors of rows that do not fit their header.

    Raises:
        DataError: There is no index file, or a file is a link out of the root, is not a table, or lacks a column.
    """
    files = sorted(
        path for path in (root / "csv_files").iterdir() if path.suffix.lower() == ".csv" and path.name[0] != "."
    )
    if not files:
        raise DataError(f"{root / 'csv_files'}: no .csv file; the index is one or more tables (see docs/data.md)")
    index_rows: list[IndexRow] = []
    faults: list[Fault] = []
    for path in files:
        if not follow_links:
            _check_inside(root, path)
        file_rows, file_faults = read_index_file(path, labels)
        index_rows += file_rows
        faults += file_faults
    if not index_rows and not faults:
        raise DataError(f"{root / 'csv_files'}: the index has no rows")
    return index_rows, faults


def read_index_file(path: Path, labels: bool = True) -> tuple[list[IndexRow], list[Fault]]:
    """Read the rows of one index file, and the errors of rows that do not fit its header, as `read_index`.

    Raises:
        DataError: The file is not a table, or lacks a required column.
    """
    index_rows: list[IndexRow] = []
    faults: list[Fault] = []
    for item in _parse_rows(path, labels):
        if isinstance(item, Fault):
            faults.append(item)
        else:
            index_rows.append(item)
    return index_rows, faults


def quote_cell(text: str, mark: str = "'") -> str:
    """Return the text of a cell for a message: in quotation marks, shortened, without characters that are invisible.

    Args:
        text: Text of the cell, of any length.
        mark: Quotation mark; empty for none.
    """
    short = text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}... ({len(text)} characters)"
    return f"{mark}{short}{mark}" if short.isprintable() else ascii(short)


def _check_inside(root: Path, path: Path) -> None:
    resolved = path.resolve()
    if not resolved.is_relative_to(root.resolve()):
        raise DataError(
            f"{path}: is a link to {resolved}, outside the root {root}; if it is your own, add data.follow_links=true "
            "(usaggr predict: --follow-links); otherwise replace the link with the file"
        )


def _parse_rows(path: Path, labels: bool) -> Iterator[IndexRow | Fault]:
    """Yield each row of an index file that is not empty, or its error if it does not fit the header."""
    reader = parse_csv(_decode_text(path), strict=True)
    try:
        header = _parse_header(path, next(reader, []))
        cleaners = [_choose_cleaner(name) for name in header]
        types_seen: set[str] = set()
        end = reader.line_num
        for cells in reader:
            # `line_num` is the last line of a row; a cell with line breaks takes several lines.
            line, end = end + 1, reader.line_num
            if not any(cells):
                continue
            if any(cells[len(header) :]):
                yield Fault(
                    path.name,
                    line,
                    header[-1],
                    "",
                    "row_shape",
                    f"the row has {pluralize(len(cells), 'cell')}, the header {len(header)}; "
                    "cells with commas need quotes",
                )
                continue
            # Not strict: a row may lack its last cells, which are then empty.
            texts = {
                name: text for name, clean, cell in zip(header, cleaners, cells, strict=False) if (text := clean(cell))
            }
            if labels:
                task_type = texts.get("task_name", "").lower()
                if task_type not in types_seen:
                    types_seen.add(task_type)
                    _check_label_columns(path, header, task_type)
            yield IndexRow(path.name, line, texts)
    except csv.Error as error:
        raise DataError(f"{path.name}, line {reader.line_num}: not a CSV table ({error})") from error


def _parse_header(path: Path, cells: list[str]) -> list[str]:
    header = [clean_text(cell) for cell in cells]
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        hint = "; columns are separated by commas" if len(header) == 1 and any(c in header[0] for c in ";\t") else ""
        raise DataError(
            f"{path.name}: no column {', '.join(missing)}; every index file needs {', '.join(REQUIRED)}{hint}"
        )
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise DataError(f"{path.name}: the column {', '.join(repeated)} exists more than once; rename or remove one")
    return header


def _check_label_columns(path: Path, header: list[str], task_type: str) -> None:
    """Check that a file has the columns with the labels of a type of task.

    Args:
        path: The file, for messages.
        header: Columns of the file.
        task_type: Type in lower case; an unknown one, which is an error of its row, has no columns.
    """
    missing = [column for column in COLUMNS_BY_TYPE.get(task_type, ()) if column not in header]
    if missing:
        raise DataError(f"{path.name}: has {task_type} rows but no column {', '.join(missing)}")


def _choose_cleaner(column: str) -> Callable[[str], str]:
    """Return the function that cleans the cells of a column: its text, or an empty text for a missing value.

    Names of files, patients and groups keep their characters, apart from ASCII white space at their ends: a no-break
    space may be the last character of a file's name.
    """
    if _LABEL_COLUMN.fullmatch(column):
        return _clean_label
    return _clean_path if column in ("image_path", "mask_path") else _strip_cell


def _strip_cell(cell: str) -> str:
    text = cell.strip(" \t\r\n")
    return "" if text.lower() in _MISSING else text


def _clean_path(cell: str) -> str:
    text = _strip_cell(cell)
    return "" if len(text) <= _LONGEST_MARK and is_missing_mark(text) else text


def _clean_label(cell: str) -> str:
    text = _strip_cell(cell)
    if text[:1] in _NUMBER_STARTS and text.isascii() and "#" not in text:  # faster, for nearly all cells
        return text
    text = clean_text(text)
    return "" if is_missing(text) else text


def _decode_text(path: Path) -> str:
    try:
        content = read_bounded(path, MAX_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnusableContentError as error:
        raise DataError(f"{path}: {error}") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # byte order marks of UTF-16
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # The encoding in which spreadsheets on Western Windows save CSV files.
        return content.decode("cp1252", errors="replace")
