"""The table that readers of other layouts return, and the index file that is written from it."""

import csv
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from usaggr.data.read import class_names
from usaggr.data.read.index import format_task_type, list_label_columns
from usaggr.data.sources.left_out import LeftOut, list_left_out
from usaggr.errors import ConfigError, DataError
from usaggr.io.atomic_files import write_atomic
from usaggr.tasks import TaskType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SourceRow:
    """An image with its label, from which a row of an index is made; only the label of the task's type is set."""

    image: Path
    mask: Path | None = None
    further_masks: tuple[Path, ...] = ()
    """Further masks of the image; `change_masks` makes one mask of all."""
    drawing: "Callable[[], NDArray[np.uint8]] | None" = None
    """Function that draws the mask, (H, W) uint8; `change_masks` writes it."""
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
    left_out: tuple[LeftOut, ...] = ()
    """Files that are not samples, with the reasons."""
    notes: tuple[str, ...] = ()
    """Notes for the user about how the source was read."""
    several: Literal["refuse", "largest", "union"] = "refuse"
    """Rule by which one mask is made of an image's masks."""


def format_index(table: SourceTable, root: Path) -> str:
    """Return the content of the index file, with paths relative to `<root>/csv_files`.

    Raises:
        DataError: A file is outside the root.
    """
    columns = ["image_path", *list_label_columns(table.type, table.num_classes), "task_name", "task_id", "num_classes"]
    columns += [class_names.COLUMN] if table.class_names else []
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
        if table.class_names:
            fixed[class_names.COLUMN] = class_names.format_class_names(table.class_names)
        writer.writerow(
            {"image_path": _format_path(row.image, root), **_format_label(row, root), **fixed, **row.columns}
        )
    return text.getvalue()


def write_index(table: SourceTable, root: Path) -> Path:
    """Write `<root>/csv_files/<task>.csv`, which must not exist, and return its path.

    Raises:
        DataError: There is no sample, a file is outside the root, or the index file exists.
    """
    path = check_writable(table, root)
    write_atomic(path, format_index(table, root))
    return path


def check_writable(table: SourceTable, root: Path) -> Path:
    """Return the path of the index file of a task.

    Raises:
        DataError: There is no sample, or the index file exists.
    """
    if not table.rows:
        lines = [*list_left_out(table.left_out), *table.notes]
        raise DataError(f"task {table.task}: no sample was found", *(f"  {line}" for line in lines))
    path = root / "csv_files" / f"{table.task}.csv"
    if path.exists():
        raise DataError(f"{path}: exists; remove it, or give another --task")
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
    return f"../{find_path_below(path, root).as_posix()}"


def find_path_below(path: Path, root: Path) -> Path:
    """Return the path of a file relative to the root; a link out of the root keeps its place in the root.

    Raises:
        DataError: The file is outside the root.
    """
    as_written = Path(os.path.normpath(path.absolute())), Path(os.path.normpath(root.absolute()))
    for file, folder in ((path.resolve(), root.resolve()), as_written):
        if file.is_relative_to(folder):
            return file.relative_to(folder)
    raise DataError(f"{path}: is outside --out {root}; no image is copied, so --out must contain the images")
