"""Read the index of a data set: `csv_files/*.csv` to rows, nothing judged yet but what makes a row unreadable.

The format is that of the FM_UIA challenge: one table a file, sorted by name, whose columns differ from file to file.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from usaggr.data.samples import Fault
from usaggr.errors import DataError
from usaggr.tasks import TASK_TYPES, TaskType, least_classes

REQUIRED = ("image_path", "task_name", "task_id", "num_classes")
"""Columns of every index file."""


def label_columns(task_type: TaskType, num_classes: int) -> tuple[str, ...]:
    """Return the columns that hold the labels of a task, by its type and its number of classes or points."""
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


def task_name(task_type: TaskType) -> str:
    """Return the type as the challenge writes it in the column task_name; it is read in any case of letters."""
    return "Regression" if task_type == "regression" else task_type


REQUIRED_OF_TYPE: dict[str, tuple[str, ...]] = {
    task_type: label_columns(task_type, least_classes(task_type)) for task_type in TASK_TYPES
}
"""Further columns of a file that has rows of the type."""

_MISSING = frozenset({"", "nan", "none", "null"})
"""What table programs write into empty cells, in lower case."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One row of an index file."""

    csv_file: str
    """Name of the file."""
    line: int
    """Where the row begins in the file; the header is line 1."""
    cells: dict[str, str]
    """Column: text without surrounding blanks; empty cells are left out."""

    def text(self, column: str) -> str:
        """What stands in a column; empty where there is nothing or no such column."""
        return self.cells.get(column, "")

    def fault(self, column: str, kind: str, message: str, file: str = "") -> Fault:
        """A fault of this row."""
        return Fault(self.csv_file, self.line, column, file, kind, message)


def read_index(root: Path, labels: bool = True) -> tuple[list[IndexRow], list[Fault]]:
    """All rows of `<root>/csv_files/*.csv`, by file name and line, and the rows that do not fit their header.

    Without `labels`, the columns that labels are in may be missing.

    Raises:
        DataError: no index file, or one that leads out of the root by a link, is no table or lacks a required column.
    """
    files = sorted(
        path for path in (root / "csv_files").iterdir() if path.suffix.lower() == ".csv" and path.name[0] != "."
    )
    if not files:
        raise DataError(f"{root / 'csv_files'}: no .csv file; the index is one or more tables, see the data format")
    rows: list[IndexRow] = []
    faults: list[Fault] = []
    for path in files:
        _refuse_outside(root, path)
        of_file = read_index_file(path, labels)
        rows += of_file[0]
        faults += of_file[1]
    if not rows and not faults:
        raise DataError(f"{root / 'csv_files'}: the index has no rows")
    return rows, faults


def read_index_file(path: Path, labels: bool = True) -> tuple[list[IndexRow], list[Fault]]:
    """The rows of one index file, and those that do not fit its header; as `read_index`.

    Raises:
        DataError: it is no table or lacks a required column.
    """
    rows: list[IndexRow] = []
    faults: list[Fault] = []
    for item in _rows_of(path, labels):
        (faults if isinstance(item, Fault) else rows).append(item)  # type: ignore[arg-type]
    return rows, faults


def _refuse_outside(root: Path, path: Path) -> None:
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
        raise DataError(f"{path}: is a link that leads out of the root {root}, to {real}; put the file itself there")


def _rows_of(path: Path, labels: bool) -> Iterator[IndexRow | Fault]:
    reader = csv.reader(io.StringIO(_decoded(path), newline=""), strict=True)
    try:
        header = _header(path, next(reader, []))
        types_seen: set[str] = set()
        end = reader.line_num
        for cells in reader:
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
                    f"the row has {len(cells)} cells, the header {len(header)}; cells with commas need quotes",
                )
                continue
            texts = {name: text for name, cell in zip(header, cells, strict=False) if (text := _text(cell))}
            if labels:
                _check_type(path, header, texts.get("task_name", "").lower(), types_seen)
            yield IndexRow(path.name, line, texts)
    except csv.Error as error:
        raise DataError(f"{path.name}, line {reader.line_num}: not a CSV table ({error})") from error


def _header(path: Path, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        hint = "; columns are separated by commas" if len(header) == 1 and any(c in header[0] for c in ";\t") else ""
        raise DataError(
            f"{path.name}: no column {', '.join(missing)}; every index file needs {', '.join(REQUIRED)}{hint}"
        )
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise DataError(f"{path.name}: the column {', '.join(twice)} is there more than once")
    return header


def _check_type(path: Path, header: list[str], task_name: str, seen: set[str]) -> None:
    if task_name in seen:
        return
    seen.add(task_name)
    missing = [column for column in REQUIRED_OF_TYPE.get(task_name, ()) if column not in header]
    if missing:
        raise DataError(f"{path.name}: has {task_name} rows but no column {', '.join(missing)}")


def _text(cell: str) -> str:
    # Only ASCII blanks are cut: a no-break space may be the end of a file's name.
    text = cell.strip(" \t\r\n")
    return "" if text.lower() in _MISSING else text


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What spreadsheets of the western world write; it also knows the no-break space.
        return content.decode("cp1252", errors="replace")
