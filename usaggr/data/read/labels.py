"""Labels of index rows (class, box, landmarks or mask), and the errors in them.

Coordinates are pixels of the original image: x in [0, width] and y in [0, height]. The center of the first pixel is at
(0.5, 0.5), so x_max and y_max of a box are exclusive. Coordinates may be up to half a pixel outside the image, because
rounding and other conventions produce such values.
"""

import math
import re
from dataclasses import dataclass, field

from usaggr.config.study import DataConfig
from usaggr.data.read.coordinate_checks import TOLERANCE
from usaggr.data.read.file_facts import FileFacts
from usaggr.data.read.index import IndexRow, quote_cell
from usaggr.data.read.index_tasks import Declaration, parse_integer
from usaggr.data.read.pixel_sizes import format_pixels
from usaggr.data.samples import Box, Fault, Points
from usaggr.io.bounded_content import parse_json

BOX_COLUMNS = ("x_min", "y_min", "x_max", "y_max")
"""Columns of a box, in the order of `Box`."""
_POINT_COLUMN = re.compile(r"point_(\d{1,9})_xy")
MAX_ROW_FAULTS = 10
"""Largest number of errors of landmarks that are listed of one row; further ones are counted."""


@dataclass(frozen=True, slots=True)
class Label:
    """Label of one row. Only the value of its type of task is set; for a mask none is, because the label is a file."""

    class_index: int | None = None
    box: Box | None = None
    points: Points | None = None


@dataclass(slots=True)
class LabelResult:
    """Label of a row, or its errors."""

    label: Label | None = None
    """Label; None if it has errors."""
    faults: list[Fault] = field(default_factory=list)
    coordinates: tuple[float, ...] = ()
    """x, y, x, y, ... of a box or landmarks, also of invalid ones; empty if one is not a number."""


def read_class(row: IndexRow, task: Declaration) -> LabelResult:
    """Read the class of a row."""
    text = row.get_text("mask")
    index = parse_integer(text)
    if index is None:
        return LabelResult(
            faults=[
                row.make_fault("mask", "label", f"{quote_cell(text)} is not a whole number" if text else "is empty")
            ]
        )
    if not 0 <= index < task.num_classes:
        allowed = f"0 to {task.num_classes - 1} (num_classes={task.num_classes})"
        return LabelResult(faults=[row.make_fault("mask", "label_range", f"label {index} is out of range: {allowed}")])
    return LabelResult(Label(class_index=index))


def read_box(row: IndexRow, size: tuple[int, int] | None) -> LabelResult:
    """Read the box of a row; `size` is the image's height and width, or None if it could not be read."""
    sides = [_parse_number(row.get_text(side)) for side in BOX_COLUMNS]
    faults = [
        row.make_fault(
            side, "box", f"{quote_cell(row.get_text(side))} is not a number" if row.get_text(side) else "is empty"
        )
        for side, value in zip(BOX_COLUMNS, sides, strict=True)
        if value is None
    ]
    if faults:
        return LabelResult(faults=faults)
    x_min, y_min, x_max, y_max = (value for value in sides if value is not None)
    if x_min >= x_max:
        faults.append(row.make_fault("x_max", "box_empty", f"x_max={x_max:g} is not larger than x_min={x_min:g}"))
    if y_min >= y_max:
        faults.append(row.make_fault("y_max", "box_empty", f"y_max={y_max:g} is not larger than y_min={y_min:g}"))
    if size is not None:
        height, width = size
        box = (x_min, y_min, x_max, y_max)
        for side, value, limit in zip(BOX_COLUMNS, box, (width, height, width, height), strict=True):
            if not _is_inside(value, limit):
                message = _describe_outside(f"{side}={value:g}", width, height)
                faults.append(row.make_fault(side, "box_outside", message))
    box = (x_min, y_min, x_max, y_max)
    return LabelResult(Label(box=box) if not faults else None, faults, box)


def read_points(row: IndexRow, task: Declaration, size: tuple[int, int] | None) -> LabelResult:
    """Read the landmarks of a row.

    Args:
        row: The row.
        task: Declaration of the row, with the number of landmarks.
        size: Height and width of the image; None if it could not be read.
    """
    faults: list[Fault] = []
    points: list[tuple[float, float]] = []
    for number in range(1, task.num_classes + 1):
        column = f"point_{number}_xy"
        text = row.get_text(column)
        point = parse_point(text)
        if not text:
            faults.append(row.make_fault(column, "points", f"is empty; the task has {task.num_classes} points"))
        elif point is None:
            faults.append(row.make_fault(column, "points", f"{quote_cell(text)} is not a point; write [x, y]"))
        else:
            points.append(point)
            if size is not None and not (_is_inside(point[0], size[1]) and _is_inside(point[1], size[0])):
                message = _describe_outside(quote_cell(text, mark=""), size[1], size[0])
                faults.append(row.make_fault(column, "points_outside", message))
    for column in row.cells:
        match = _POINT_COLUMN.fullmatch(column)
        if match and int(match[1]) > task.num_classes:
            message = f"is not empty; the task has {task.num_classes} points"
            faults.append(row.make_fault(column, "points_count", message))
    if len(faults) > MAX_ROW_FAULTS:
        last = faults[MAX_ROW_FAULTS - 1]
        more = f"{last.message} (and {len(faults) - MAX_ROW_FAULTS} more errors of landmarks in this row)"
        faults[MAX_ROW_FAULTS - 1 :] = [row.make_fault(last.column, last.kind, more)]
    coordinates = tuple(value for point in points for value in point) if len(points) == task.num_classes else ()
    return LabelResult(Label(points=tuple(points)) if not faults else None, faults, coordinates)


def check_mask(
    row: IndexRow, task: Declaration, mask: FileFacts, size: tuple[int, int] | None, data: DataConfig
) -> LabelResult:
    """Check the size and the values of a mask that could be read.

    Args:
        row: The row.
        task: Declaration of the row, with the number of classes.
        mask: Facts of the mask.
        size: Height and width of the image; None if it could not be read.
        data: Configuration with the options for masks of 0 and 255 and for empty masks.
    """
    file = row.get_text("mask_path")
    faults: list[Fault] = []
    if size is not None and size != (mask.height, mask.width):
        message = f"mask has {format_pixels(mask.height, mask.width)}, but its image has {size[0]} x {size[1]}"
        if size == (mask.width, mask.height):
            message += "; one of both is turned by 90 degrees"
        faults.append(row.make_fault("mask_path", "mask_size", message, file))
    is_0_or_255 = task.num_classes == 2 and set(mask.values) <= {0, 255}
    invalid = [value for value in mask.values if value >= task.num_classes]
    if invalid and not (data.foreground_255 and is_0_or_255):
        listed = ", ".join(str(value) for value in invalid[:10]) + (", ..." if len(invalid) > 10 else "")
        hint = "; set data.foreground_255=true to read 255 as 1" if is_0_or_255 else ""
        message = f"mask has the values {listed}; allowed are 0 to {task.num_classes - 1}{hint}"
        faults.append(row.make_fault("mask_path", "mask_values", message, file))
    if mask.values in ((), (0,)) and not data.allow_empty_masks:
        message = "mask has no foreground; set data.allow_empty_masks=true to accept it"
        faults.append(row.make_fault("mask_path", "empty_mask", message, file))
    return LabelResult(Label() if not faults else None, faults)


def _parse_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def parse_point(text: str) -> tuple[float, float] | None:
    """Return the point that a cell contains as JSON, [x, y]; None if it contains something else."""
    try:
        values = parse_json(text)
        if not isinstance(values, list) or len(values) != 2:
            return None
        if not all(type(v) in (int, float) for v in values):  # not isinstance: True and False are integers in Python
            return None
        x, y = float(values[0]), float(values[1])
    except ValueError:
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def _is_inside(value: float, limit: int) -> bool:
    return -TOLERANCE <= value <= limit + TOLERANCE


def _describe_outside(coordinate: str, width: int, height: int) -> str:
    return f"{coordinate} is outside the image of {format_pixels(height, width)}"
