"""What can be mended in a row of an index without guessing, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.data.read.images import open_image, read_bytes, read_mask
from usaggr.data.read.index import IndexRow
from usaggr.data.read.labels import SIDES
from usaggr.data.read.paths import FileFinder, FoundFile
from usaggr.data.samples import Fault
from usaggr.errors import DataError

Step = tuple[str, str, str, str]
"""Column, what was done, before, after."""


@dataclass(frozen=True)
class Mended:
    """A row's cells after mending."""

    cells: Mapping[str, str]
    steps: tuple[Step, ...]


def mend_row(row: IndexRow, faults: Sequence[Fault], finder: FileFinder, max_pixels: int) -> Mended | None:
    """A row without its faults; None where one of them cannot be mended.

    Mended are masks of 0 and 255 of a two-class task (`mask_255`; the file is converted by who writes it), boxes that
    lie partly outside the image (`box_clipped`), and exchanged sides of boxes that lie inside it (`box_swapped`).
    """
    kinds = {fault.kind for fault in faults}
    if kinds == {"mask_values"}:
        return _mask(row, finder, max_pixels)
    if kinds == {"box_outside"}:
        return _clipped(row, finder)
    if kinds == {"box_empty"}:
        return _swapped(row, finder)
    return None


def _mask(row: IndexRow, finder: FileFinder, max_pixels: int) -> Mended | None:
    found = finder.find(row.text("mask_path"))
    if not isinstance(found, FoundFile) or float(row.text("num_classes")) != 2:
        return None
    if read_mask(Path(found.path), True, max_pixels).max() > 1:
        return None
    path = row.text("mask_path")
    return Mended(row.cells, (("mask_path", "mask_255", path, path),))


def _clipped(row: IndexRow, finder: FileFinder) -> Mended | None:
    limits = _limits(row, finder)
    if limits is None:
        return None
    sides = [float(row.text(side)) for side in SIDES]
    clipped = [min(max(value, 0.0), limit) for value, limit in zip(sides, limits, strict=True)]
    return _with_sides(row, clipped, "box_clipped") if clipped[0] < clipped[2] and clipped[1] < clipped[3] else None


def _swapped(row: IndexRow, finder: FileFinder) -> Mended | None:
    limits = _limits(row, finder)
    if limits is None:
        return None
    a, b, c, d = (float(row.text(side)) for side in SIDES)
    sides = [min(a, c), min(b, d), max(a, c), max(b, d)]
    inside = all(0 <= value <= limit for value, limit in zip(sides, limits, strict=True))
    return _with_sides(row, sides, "box_swapped") if inside and a != c and b != d else None


def _limits(row: IndexRow, finder: FileFinder) -> tuple[float, float, float, float] | None:
    """Largest value of each side; None where the image cannot be read."""
    found = finder.find(row.text("image_path"))
    if not isinstance(found, FoundFile):
        return None
    try:
        image = open_image(read_bytes(Path(found.path)), found.path, None)
    except DataError:
        return None
    return image.width, image.height, image.width, image.height


def _with_sides(row: IndexRow, sides: Sequence[float], what: str) -> Mended:
    cells, steps = dict(row.cells), list[Step]()
    for side, value in zip(SIDES, sides, strict=True):
        if float(row.text(side)) != value:
            cells[side] = f"{value:.10g}"
            steps.append((side, what, row.text(side), cells[side]))
    return Mended(cells, tuple(steps))
