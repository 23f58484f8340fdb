"""Repairs of index rows whose correct content is certain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.data.read.images import open_image, read_bytes, read_mask
from usaggr.data.read.index import IndexRow
from usaggr.data.read.labels import BOX_COLUMNS
from usaggr.data.read.paths import FileFinder, ListedFile
from usaggr.data.samples import Fault
from usaggr.errors import DataError

Step = tuple[str, str, str, str]
"""Column, name of the repair, cell before, cell after."""


@dataclass(frozen=True)
class RepairedRow:
    """Cells of a row after its repair."""

    cells: Mapping[str, str]
    steps: tuple[Step, ...]
    """Changes, one per cell; empty for a row without errors."""


def repair_row(row: IndexRow, faults: Sequence[Fault], finder: FileFinder, max_pixels: int) -> RepairedRow | None:
    """Repair a row if all its errors are of one kind whose repair is certain.

    There are three repairs. `mask_255` accepts masks of 0 and 255 in a task with two classes; the mask is converted
    later, when its file is written. `box_clipped` clips a box that is partly outside the image. `box_swapped` exchanges
    the minimum and maximum of a box inside the image.

    Args:
        row: A row with errors.
        faults: All errors of the row.
        finder: Finds the row's files.
        max_pixels: Largest number of pixels of a mask (`data.max_pixels`).

    Returns:
        The repaired row; None if one of the errors cannot be repaired.
    """
    kinds = {fault.kind for fault in faults}
    if kinds == {"mask_values"}:
        return _repair_mask(row, finder, max_pixels)
    if kinds == {"box_outside"}:
        return _clip_box(row, finder)
    if kinds == {"box_empty"}:
        return _swap_sides(row, finder)
    return None


def _repair_mask(row: IndexRow, finder: FileFinder, max_pixels: int) -> RepairedRow | None:
    file = finder.find(row.text("mask_path"))
    if not isinstance(file, ListedFile) or float(row.text("num_classes")) != 2:
        return None
    # Read with 255 as class 1. A mask with other values than 0 and 255 keeps them and cannot be repaired.
    if read_mask(Path(file.path), True, max_pixels).max() > 1:
        return None
    path = row.text("mask_path")
    return RepairedRow(row.cells, (("mask_path", "mask_255", path, path),))


def _clip_box(row: IndexRow, finder: FileFinder) -> RepairedRow | None:
    limits = _side_limits(row, finder)
    if limits is None:
        return None
    sides = [float(row.text(side)) for side in BOX_COLUMNS]
    clipped = [min(max(value, 0.0), limit) for value, limit in zip(sides, limits, strict=True)]
    has_area = clipped[0] < clipped[2] and clipped[1] < clipped[3]
    return _replace_sides(row, clipped, "box_clipped") if has_area else None


def _swap_sides(row: IndexRow, finder: FileFinder) -> RepairedRow | None:
    limits = _side_limits(row, finder)
    if limits is None:
        return None
    x1, y1, x2, y2 = (float(row.text(side)) for side in BOX_COLUMNS)
    sides = [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
    is_inside = all(0 <= value <= limit for value, limit in zip(sides, limits, strict=True))
    has_area = x1 != x2 and y1 != y2
    return _replace_sides(row, sides, "box_swapped") if is_inside and has_area else None


def _side_limits(row: IndexRow, finder: FileFinder) -> tuple[float, float, float, float] | None:
    """Return the largest value of each side of a box; None if the image cannot be read."""
    file = finder.find(row.text("image_path"))
    if not isinstance(file, ListedFile):
        return None
    try:
        image = open_image(read_bytes(Path(file.path)), file.path, None)
    except DataError:
        return None
    return image.width, image.height, image.width, image.height


def _replace_sides(row: IndexRow, sides: Sequence[float], repair: str) -> RepairedRow:
    """Return a row with other sides of its box; `repair` is the name of the repair."""
    cells, steps = dict(row.cells), list[Step]()
    for side, value in zip(BOX_COLUMNS, sides, strict=True):
        if float(row.text(side)) != value:
            cells[side] = f"{value:.10g}"
            steps.append((side, repair, row.text(side), cells[side]))
    return RepairedRow(cells, tuple(steps))
