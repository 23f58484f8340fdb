"""Checks that find boxes and landmarks in another unit, such as fractions, or in another order of their numbers.

A single row may look valid: a box in fractions of the image is also a box in its first pixel. Therefore all rows of a
task in an index file are examined together; two files of a task may come from two programs.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from usaggr.data.read.index import IndexRow
from usaggr.data.samples import Fault
from usaggr.tasks import TaskType, has_box_label

LARGEST_FRACTION = 1.5
"""Largest absolute coordinate that looks like a fraction: fractions can be a bit above 1, or go from -1 to 1."""
SMALLEST_IMAGE = 8
"""Smallest height and width, in pixels, of images whose coordinates can be recognized as fractions."""
FITTING = 0.95
"""Share of boxes that must fit into their images in another order of their numbers, for this order to be reported."""
TURNED = 0.4
"""Smallest share of rows outside their images for which exchanged axes are reported."""
LEAST_ROWS = 3
"""Smallest number of rows for which another order of the numbers, or exchanged axes, are reported."""
CORNER_ROWS = 20
"""Smallest number of rows for which coordinates that are all in the upper left of their images are noted."""
USUAL_SIDES = (224, 256, 320, 384, 512)
"""Heights and widths to which images are usually resized for networks; labels may be those of the resized images."""
TOLERANCE = 0.5
"""Largest distance outside the image that a coordinate may have, in pixels."""

REPLACED = frozenset({"box_empty", "box_outside", "points_outside"})
"""Kinds of faults of single rows; a fault that these checks find in the same row replaces them."""

_RowMessages = list[tuple["_Coordinates", str]]
"""Rows with a fault, each with its message."""


@dataclass(frozen=True, slots=True)
class _Coordinates:
    """Coordinates of one row: x, y, x, y, ..."""

    row: IndexRow
    values: tuple[float, ...]
    size: tuple[int, int]
    """Height and width of the image, in pixels."""

    @property
    def look_like_fractions(self) -> bool:
        """True if no coordinate is too large for a fraction, although the image is large enough for larger ones."""
        are_small = max(abs(value) for value in self.values) <= LARGEST_FRACTION
        return are_small and min(self.size) >= SMALLEST_IMAGE

    @property
    def are_fractions(self) -> bool:
        """True if this row alone shows that its coordinates are fractions.

        A row with a single point, or with whole numbers only, may instead mark a missing value, as 0 or -1 do.
        """
        return len(self.values) > 2 and self.look_like_fractions and any(value % 1 for value in self.values)

    @property
    def has_origin(self) -> bool:
        """True if a point is exactly at (0, 0), the upper left corner of the image."""
        return any(x == y == 0 for x, y in zip(self.values[::2], self.values[1::2], strict=True))

    @property
    def are_inside(self) -> bool:
        """True if all coordinates are inside the image."""
        return are_inside(self.values, self.size)

    @property
    def are_inside_with_exchanged_axes(self) -> bool:
        """True if all coordinates are inside an image of the exchanged height and width."""
        return are_inside(self.values, (self.size[1], self.size[0]))


@dataclass
class CoordinateChecks:
    """Collection of the coordinates of all rows, which finds those that look like another unit or order."""

    _groups: dict[tuple[str, str, TaskType], list[_Coordinates]] = field(default_factory=lambda: defaultdict(list))
    """Coordinates by task, index file and type."""
    warnings: list[str] = field(default_factory=list)
    """Notes about coordinates that may be valid, but are unlikely; filled by `find_faults`."""

    def add(self, row: IndexRow, task_type: TaskType, values: Sequence[float], size: tuple[int, int] | None) -> None:
        """Add the coordinates of a row.

        Args:
            row: The row.
            task_type: Type of its task.
            values: Its coordinates (x, y, x, y, ...), which need not be valid; without values, nothing is added.
            size: Height and width of the image; without a size, nothing is added.
        """
        if values and size is not None:
            self._groups[row.get_text("task_id"), row.csv_file, task_type].append(
                _Coordinates(row, tuple(values), size)
            )

    def find_faults(self) -> list[Fault]:
        """Return a fault for each row whose coordinates look like another unit or order."""
        faults: list[Fault] = []
        for (task_id, csv_file, task_type), group in self._groups.items():
            is_box = has_box_label(task_type)
            name = f"{len(group)} {'boxes' if is_box else 'rows of landmarks'} of {task_id}"
            kind, messages = _find_unit_or_order(group, name, is_box)
            if not messages:
                self.warnings += _list_warnings(group, f"{name} in {csv_file}", is_box)
            column = "x_min" if is_box else "point_1_xy"
            faults += [item.row.make_fault(column, kind, message) for item, message in messages]
        return faults


def _find_unit_or_order(group: Sequence[_Coordinates], name: str, is_box: bool) -> tuple[str, _RowMessages]:
    """Return the kind of the first fault that a group has, and the rows that have it; no rows without a fault.

    Args:
        group: Rows of one task and file.
        name: Number and kind of the rows, for messages.
        is_box: True for boxes, False for landmarks.
    """
    if fractions := _find_fractions(group, name):
        return "fractions", fractions
    if is_box and (order := _find_box_order(group)):
        message = _describe_order(group, name, order)
        return "box_order", [(item, message) for item in group]
    if _have_exchanged_axes(group):
        message = (
            f"the {name} in this file fit into their images only with x and y exchanged; exchange them, or "
            "turn the images as they were when they were labeled"
        )
        return "turned", [(item, message) for item in group]
    return "", []


def _list_warnings(group: Sequence[_Coordinates], name: str, is_box: bool) -> list[str]:
    """Return notes about coordinates that may be valid, but are unlikely.

    Args:
        group: Rows of one task and file.
        name: Number and kind of the rows, and their file.
        is_box: True for boxes, False for landmarks.
    """
    warnings = []
    missing = 0 if is_box else sum(item.has_origin for item in group)
    if missing:
        warnings.append(
            f"{missing} of {name} have a landmark at exactly [0, 0], as programs mark a missing one; if it is "
            "missing, remove these rows"
        )
    if doubt := _describe_doubt(group, is_box):
        warnings.append(f"all {name} {doubt}; look at them with `usaggr data show`")
    return warnings


def _find_fractions(group: Sequence[_Coordinates], name: str) -> _RowMessages:
    """Return the rows whose coordinates look like fractions of the image, each with a message.

    Args:
        group: Rows of one task and file.
        name: Number and kind of the rows, for messages.
    """
    remedy = "they look like fractions of the image, but pixels are needed: multiply x by its width and y by its height"
    values = [value for item in group for value in item.values]
    # One point alone, or zeros alone, may be valid or mark missing values.
    if len(values) > 2 and any(values) and all(item.look_like_fractions for item in group):
        message = f"all {name} in this file are between {min(values):.3g} and {max(values):.3g}; {remedy}"
        return [(item, message) for item in group]
    return [
        (item, f"is between {min(item.values):.3g} and {max(item.values):.3g}, within the first pixel; {remedy}")
        for item in group
        if item.are_fractions
    ]


def _find_box_order(group: Sequence[_Coordinates]) -> str:
    """Return the order of the numbers that boxes have instead of x_min, y_min, x_max, y_max; empty if there is none."""
    invalid = _count_invalid_corners(group)
    # A few invalid boxes are faults of their own rows, not another order.
    if len(group) < LEAST_ROWS or invalid < 2 or invalid < 0.1 * len(group):
        return ""
    if _compute_share(group, _fits_as_x_y_width_height) >= FITTING:
        return "x, y, width, height"
    if _compute_share(group, _fits_as_center_and_size) >= FITTING:
        return "x and y of the center, width, height"
    return ""


def _describe_doubt(group: Sequence[_Coordinates], is_box: bool) -> str:
    """Describe valid coordinates that are all in the upper left of their images; return an empty text otherwise.

    Args:
        group: Rows of one task and file.
        is_box: True for boxes, False for landmarks.
    """
    if len(group) < CORNER_ROWS:
        return ""
    if all(max(item.values) <= 100 and min(item.size) > 2 * 100 for item in group):
        return "are below 100 in larger images, as percentages would be"
    largest = max(max(item.values) for item in group)
    smallest_side = min(min(item.size) for item in group)
    for side in USUAL_SIDES:
        # Labels of resized images come close to this side, but the images here are much larger.
        if 0.9 * side <= largest <= side and smallest_side > 1.5 * side:
            return f"are at most {side} in larger images, as those of images resized to {side} pixels would be"
    if is_box and _compute_share(group, _fits_as_x_y_width_height) == 1:
        return "are in the upper left of their images, as boxes of x, y, width, height would be"
    return ""


def _describe_order(group: Sequence[_Coordinates], name: str, order: str) -> str:
    """Return the message for boxes with another order of their numbers.

    Args:
        group: Rows of one task and file.
        name: Number and kind of the rows.
        order: The order that they have.
    """
    return (
        f"the {name} in this file look like {order}: as x_min, y_min, x_max, y_max, which are "
        f"needed, {_count_invalid_corners(group)} of them are no boxes"
    )


def _count_invalid_corners(group: Iterable[_Coordinates]) -> int:
    """Return the number of boxes that have no area if their numbers are x_min, y_min, x_max, y_max."""
    return sum(item.values[2] <= item.values[0] or item.values[3] <= item.values[1] for item in group)


def _fits_as_x_y_width_height(item: _Coordinates) -> bool:
    x, y, width, height = item.values
    return width > 0 and height > 0 and are_inside((x, y, x + width, y + height), item.size)


def _fits_as_center_and_size(item: _Coordinates) -> bool:
    x, y, width, height = item.values
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return width > 0 and height > 0 and are_inside(corners, item.size)


def _have_exchanged_axes(group: Sequence[_Coordinates]) -> bool:
    """Return whether many rows are outside their images, and all are inside after an exchange of height and width."""
    outside = 1 - _compute_share(group, lambda item: item.are_inside)
    return (
        len(group) >= LEAST_ROWS
        and outside >= TURNED
        and _compute_share(group, lambda item: item.are_inside_with_exchanged_axes) == 1
    )


def _compute_share(group: Sequence[_Coordinates], predicate: Callable[[_Coordinates], bool]) -> float:
    return sum(map(predicate, group)) / len(group)


def are_inside(values: Sequence[float], size: tuple[int, int]) -> bool:
    """Return whether all points (x, y, x, y, ...) are inside an image of this height and width, within `TOLERANCE`."""
    limits = (size[1], size[0])
    return all(-TOLERANCE <= value <= limits[i % 2] + TOLERANCE for i, value in enumerate(values))
