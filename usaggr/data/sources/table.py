"""The table that readers of other layouts return, and the index file that is written from it."""

import csv
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from usaggr.data.read.index import format_task_type, list_label_columns
from usaggr.data.read.readers_version import SUFFIXES
from usaggr.data.read.subject_names import normalize_subject
from usaggr.errors import ConfigError, DataError
from usaggr.io.atomic_files import write_atomic
from usaggr.tasks import TaskType


@dataclass(frozen=True)
class SourceRow:
    """An image with its label, from which a row of an index is made; only the label of the task's type is set."""

    image: Path
    mask: Path | None = None
    label: int | None = None
    """Class index, from 0."""
    box: tuple[float, float, float, float] | None = None
    """x_min, y_min, x_max, y_max in pixels."""
    points: tuple[tuple[float, float], ...] | None = None
    """(x, y) of each landmark, in pixels."""
    columns: dict[str, str] = field(default_factory=dict)
    """Values of further columns, such as subject_id."""


@dataclass(frozen=True)
class SourceTable:
    """One task, read from another layout."""

    task: str
    type: TaskType
    num_classes: int
    rows: tuple[SourceRow, ...]
    class_names: tuple[str, ...] = ()
    """Names of the classes or landmarks; empty if the source has none."""
    left_out: tuple[str, ...] = ()
    """Descriptions of the files that are not samples, with the reason; one line per file."""


def find_images(folder: Path, pattern: str = "**/*") -> list[Path]:
    """Return the image files of a folder that match a pattern, sorted.

    Raises:
        ConfigError: The folder does not exist, or has no image file.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: this folder does not exist; give the folder that contains the images")
    files = sorted(
        path
        for path in folder.glob(pattern)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise ConfigError(f"{folder}: no image file matches '{pattern}'; allowed suffixes: {', '.join(SUFFIXES)}")
    return files


def format_index(table: SourceTable, root: Path) -> str:
    """Return the content of the index file, with paths relative to `<root>/csv_files`.

    Raises:
        DataError: A file is outside the root.
    """
    columns = ["image_path", *list_label_columns(table.type, table.num_classes), "task_name", "task_id", "num_classes"]
    columns += sorted({name for row in table.rows for name in row.columns} - set(columns))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        fixed = {
            "task_name": format_task_type(table.type),
            "task_id": table.task,
            "num_classes": str(table.num_classes),
        }
        writer.writerow(
            {"image_path": _format_path(row.image, root), **_format_label(row, root), **fixed, **row.columns}
        )
    return text.getvalue()


def write_index(table: SourceTable, root: Path) -> Path:
    """Write `<root>/csv_files/<task>.csv`, which must not exist, and return its path.

    Raises:
        DataError: There is no sample, a file is outside the root, or the index file exists.
    """
    if not table.rows:
        raise DataError(f"task {table.task}: no sample was found" + "".join(f"\n  {line}" for line in table.left_out))
    path = root / "csv_files" / f"{table.task}.csv"
    if path.exists():
        raise DataError(f"{path}: exists; remove it, or give another --task")
    write_atomic(path, format_index(table, root))
    return path


def check_task_name(task: str) -> None:
    """Check that a task id can be a file name.

    Raises:
        ConfigError: It has other characters than letters, digits, '_', '-' and '.', or does not begin with a letter or
            digit.
    """
    if not task or not task[0].isalnum() or not all(character.isalnum() or character in "_-." for character in task):
        raise ConfigError(
            f"--task: '{task}' is not a valid name: it can have letters, digits, '_', '-' and '.', and must begin with "
            "a letter or digit"
        )


def add_subjects(source_rows: Iterable[SourceRow], pattern: str | None) -> list[SourceRow]:
    """Return the rows with the subject that a regular expression finds in the names of their images.

    The subject is the first group of the expression, or the complete match if it has no group. With None, the rows are
    returned unchanged.

    Raises:
        ConfigError: The pattern is not a regular expression, or it finds nothing or a missing value in a name.
    """
    if pattern is None:
        return list(source_rows)
    import re

    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--subject: '{pattern}' is not a regular expression: {error}") from error
    completed: list[SourceRow] = []
    for row in source_rows:
        match = compiled.search(row.image.name)
        subject = match and (match[1] if compiled.groups else match[0])
        if not subject:
            raise ConfigError(f"--subject: '{pattern}' finds no subject in the name of {row.image}")
        if not normalize_subject(subject):
            raise ConfigError(
                f"--subject: '{pattern}' finds '{subject}' in the name of {row.image}, which is read as a missing value"
            )
        columns = {**row.columns, "subject_id": subject}
        completed.append(replace(row, columns=columns))
    return completed


def _format_label(row: SourceRow, root: Path) -> dict[str, str]:
    """Return the cells of a row's label by column."""
    cells: dict[str, str] = {}
    if row.mask is not None:
        cells["mask_path"] = _format_path(row.mask, root)
    if row.label is not None:
        cells["mask"] = str(row.label)
    if row.box is not None:
        cells |= {
            name: f"{value:.10g}" for name, value in zip(list_label_columns("detection", 1), row.box, strict=True)
        }
    for number, point in enumerate(row.points or (), start=1):
        cells[f"point_{number}_xy"] = json.dumps(list(point))
    return cells


def _format_path(path: Path, root: Path) -> str:
    """Return the path of a file relative to `<root>/csv_files`, as the index contains it."""
    real_path, real_root = path.resolve(), root.resolve()
    if not real_path.is_relative_to(real_root):
        raise DataError(f"{path}: is outside --out {root}; no image is copied, so --out must contain the images")
    return "../" + os.path.relpath(real_path, real_root).replace(os.sep, "/")
