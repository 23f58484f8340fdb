"""Rows of an index made from another layout, and the file that they are written to."""

import csv
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from usaggr.data.read.index import label_columns, task_name
from usaggr.data.read.readers_version import SUFFIXES
from usaggr.data.read.subject_names import normalise_subject
from usaggr.errors import ConfigError, DataError
from usaggr.io.atomic_files import write_atomic
from usaggr.tasks import TaskType


@dataclass(frozen=True)
class SourceRow:
    """An image with its label, before it is a row of an index; of the labels, the one that the task's type asks for."""

    image: Path
    mask: Path | None = None
    label: int | None = None
    box: tuple[float, float, float, float] | None = None
    """x_min, y_min, x_max, y_max in pixels."""
    points: tuple[tuple[float, float], ...] | None = None
    """(x, y) in pixels."""
    columns: dict[str, str] = field(default_factory=dict)
    """Further columns, such as subject_id."""


@dataclass(frozen=True)
class SourceTable:
    """What a reader found: one task."""

    task: str
    type: TaskType
    num_classes: int
    rows: tuple[SourceRow, ...]
    class_names: tuple[str, ...] = ()
    """Of classes or points, where the source tells them."""
    left_out: tuple[str, ...] = ()
    """Files that are no samples, a line each, with the reason."""


def images_in(folder: Path, pattern: str = "**/*") -> list[Path]:
    """Image files of a folder that match a pattern, sorted.

    Raises:
        ConfigError: no such folder, or no image file in it.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; give the one that holds the images")
    found = sorted(
        path
        for path in folder.glob(pattern)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not found:
        raise ConfigError(f"{folder}: no image file matches '{pattern}'; allowed: {', '.join(SUFFIXES)}")
    return found


def index_text(table: SourceTable, root: Path) -> str:
    """The index file's content: paths relative to `<root>/csv_files`.

    Raises:
        DataError: a file lies outside the root.
    """
    columns = ["image_path", *label_columns(table.type, table.num_classes), "task_name", "task_id", "num_classes"]
    columns += sorted({name for row in table.rows for name in row.columns} - set(columns))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        fixed = {"task_name": task_name(table.type), "task_id": table.task, "num_classes": str(table.num_classes)}
        writer.writerow({"image_path": _relative(row.image, root), **_label_cells(row, root), **fixed, **row.columns})
    return text.getvalue()


def write_index(table: SourceTable, root: Path) -> Path:
    """Write `<root>/csv_files/<task>.csv`, which must not be there yet, and give its path.

    Raises:
        DataError: no sample, a file that lies outside the root, or an index file of that name.
    """
    if not table.rows:
        raise DataError(f"task {table.task}: no sample was found" + "".join(f"\n  {line}" for line in table.left_out))
    path = root / "csv_files" / f"{table.task}.csv"
    if path.exists():
        raise DataError(f"{path}: is there already; remove it, or give another --task")
    write_atomic(path, index_text(table, root))
    return path


def refuse_task_name(task: str) -> None:
    """Refuse a task id that is no file name.

    Raises:
        ConfigError: it holds other signs than letters, digits, '_', '-' and '.', or does not begin with one of the
            first two.
    """
    if not task or not task[0].isalnum() or not all(sign.isalnum() or sign in "_-." for sign in task):
        raise ConfigError(f"--task: '{task}' is no name: letters, digits, '_', '-' and '.', a letter or digit first")


def with_subjects(rows: Iterable[SourceRow], pattern: str | None) -> list[SourceRow]:
    """Rows with the subject that a regular expression finds in their images' names (first group, else all of it).

    Raises:
        ConfigError: the pattern is no regular expression, or finds nothing, or a mark of a missing value, in a name.
    """
    if pattern is None:
        return list(rows)
    import re

    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--subject: '{pattern}' is not a regular expression: {error}") from error
    found: list[SourceRow] = []
    for row in rows:
        match = compiled.search(row.image.name)
        subject = match and (match[1] if compiled.groups else match[0])
        if not subject:
            raise ConfigError(f"--subject: '{pattern}' finds no subject in the name of {row.image}")
        if not normalise_subject(subject):
            raise ConfigError(
                f"--subject: '{pattern}' finds '{subject}' in the name of {row.image}, which stands for a missing value"
            )
        columns = {**row.columns, "subject_id": subject}
        found.append(SourceRow(row.image, row.mask, row.label, row.box, row.points, columns))
    return found


def _label_cells(row: SourceRow, root: Path) -> dict[str, str]:
    cells: dict[str, str] = {}
    if row.mask is not None:
        cells["mask_path"] = _relative(row.mask, root)
    if row.label is not None:
        cells["mask"] = str(row.label)
    if row.box is not None:
        cells |= {name: f"{v:.10g}" for name, v in zip(("x_min", "y_min", "x_max", "y_max"), row.box, strict=True)}
    for number, point in enumerate(row.points or (), start=1):
        cells[f"point_{number}_xy"] = json.dumps(list(point))
    return cells


def _relative(path: Path, root: Path) -> str:
    """As the index writes a file: relative to csv_files/."""
    real, top = path.resolve(), root.resolve()
    if not real.is_relative_to(top):
        raise DataError(f"{path}: lies outside --out {root}; --out is a folder that holds the images (none is copied)")
    return "../" + os.path.relpath(real, top).replace(os.sep, "/")
