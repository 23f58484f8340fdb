"""The label of a row, and what is wrong with it: class, box, landmarks, mask.

Coordinates are pixels of the original image: x in [0, width], y in [0, height], pixel centres at .5, so that the larger
edges of a box are exclusive. They may stand up to half a pixel outside: other conventions and rounding do that.
"""

import json
import math
import re
from dataclasses import dataclass, field

from usaggr.config.study import DataConfig
from usaggr.data.read.file_facts import FileFacts
from usaggr.data.read.index import IndexRow
from usaggr.data.read.index_tasks import Declaration, whole_number
from usaggr.data.samples import Box, Fault, Points

TOLERANCE = 0.5
"""Pixels by which a coordinate may lie outside the image."""

SIDES = ("x_min", "y_min", "x_max", "y_max")
_POINT = re.compile(r"point_(\d+)_xy")


@dataclass(frozen=True, slots=True)
class Label:
    """The label of one row, of the kind that its task has; a mask's file is known elsewhere."""

    class_index: int | None = None
    box: Box | None = None
    points: Points | None = None


@dataclass(slots=True)
class Found:
    """A label, if the row has one, and the faults in it."""

    label: Label | None = None
    faults: list[Fault] = field(default_factory=list)


def class_label(row: IndexRow, task: Declaration) -> Found:
    """The class of a row."""
    text = row.text("mask")
    index = whole_number(text)
    if index is None:
        return Found(faults=[row.fault("mask", "label", f"'{text}' is not a whole number" if text else "is empty")])
    if not 0 <= index < task.num_classes:
        allowed = f"0 to {task.num_classes - 1} (num_classes={task.num_classes})"
        return Found(faults=[row.fault("mask", "label_range", f"label {index} is not one of {allowed}")])
    return Found(Label(class_index=index))


def box_label(row: IndexRow, size: tuple[int, int] | None) -> Found:
    """The box of a row; `size` is the image's height and width, if it could be read."""
    sides = [_number(row.text(side)) for side in SIDES]
    faults = [
        row.fault(side, "box", f"'{row.text(side)}' is not a number" if row.text(side) else "is empty")
        for side, value in zip(SIDES, sides, strict=True)
        if value is None
    ]
    if faults:
        return Found(faults=faults)
    x_min, y_min, x_max, y_max = (value for value in sides if value is not None)
    for low, high, a, b in (("x_min", "x_max", x_min, x_max), ("y_min", "y_max", y_min, y_max)):
        if a >= b:
            faults.append(row.fault(high, "box_empty", f"{high}={b:g} is not more than {low}={a:g}"))
    if size is not None:
        height, width = size
        for side, value, limit in zip(SIDES, (x_min, y_min, x_max, y_max), (width, height, width, height), strict=True):
            if not _inside(value, limit):
                faults.append(row.fault(side, "box_outside", _outside(f"{side}={value:g}", width, height)))
    return Found(Label(box=(x_min, y_min, x_max, y_max)) if not faults else None, faults)


def point_labels(row: IndexRow, task: Declaration, size: tuple[int, int] | None) -> Found:
    """The landmarks of a row; `size` is the image's height and width, if it could be read."""
    faults: list[Fault] = []
    points: list[tuple[float, float]] = []
    for number in range(1, task.num_classes + 1):
        column = f"point_{number}_xy"
        text = row.text(column)
        point = _point(text)
        if not text:
            faults.append(row.fault(column, "points", f"is empty; the task has {task.num_classes} points"))
        elif point is None:
            faults.append(row.fault(column, "points", f"'{text}' is not a point; write [x, y]"))
        elif size is not None and not (_inside(point[0], size[1]) and _inside(point[1], size[0])):
            faults.append(row.fault(column, "points_outside", _outside(text, size[1], size[0])))
        else:
            points.append(point)
    for column in row.cells:
        match = _POINT.fullmatch(column)
        if match and int(match[1]) > task.num_classes:
            faults.append(row.fault(column, "points_count", f"is filled; the task has {task.num_classes} points"))
    return Found(Label(points=tuple(points)) if not faults else None, faults)


def mask_label(
    row: IndexRow, task: Declaration, mask: FileFacts, size: tuple[int, int] | None, data: DataConfig
) -> Found:
    """What is wrong with a mask that could be read; `size` is the image's height and width, if it could be read."""
    file = row.text("mask_path")
    faults: list[Fault] = []
    if size is not None and size != (mask.height, mask.width):
        message = f"mask is {mask.width} x {mask.height} pixels, its image {size[1]} x {size[0]}"
        faults.append(row.fault("mask_path", "mask_size", message, file))
    only_255 = task.num_classes == 2 and set(mask.values) <= {0, 255}
    wrong = [value for value in mask.values if value >= task.num_classes]
    if wrong and not (data.foreground_255 and only_255):
        listed = ", ".join(str(value) for value in wrong[:10]) + (", ..." if len(wrong) > 10 else "")
        hint = "; data.foreground_255=true reads 255 as 1" if only_255 else ""
        message = f"mask has the values {listed}; allowed are 0 to {task.num_classes - 1}{hint}"
        faults.append(row.fault("mask_path", "mask_values", message, file))
    if mask.values in ((), (0,)) and not data.allow_empty_masks:
        message = "mask has no foreground; data.allow_empty_masks=true takes it as it is"
        faults.append(row.fault("mask_path", "empty_mask", message, file))
    return Found(Label() if not faults else None, faults)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _point(text: str) -> tuple[float, float] | None:
    try:
        values = json.loads(text)
        if not isinstance(values, list) or len(values) != 2 or not all(type(v) in (int, float) for v in values):
            return None
        x, y = float(values[0]), float(values[1])
    except (ValueError, OverflowError, RecursionError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def _inside(value: float, limit: int) -> bool:
    return -TOLERANCE <= value <= limit + TOLERANCE


def _outside(what: str, width: int, height: int) -> str:
    return f"{what} lies outside the image of {width} x {height} pixels"
