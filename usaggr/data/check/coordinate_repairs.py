"""Repairs of boxes and landmarks: clipped and swapped boxes, another order of the numbers, and fractions.

Sizes are those of images as they are read: an image that is turned by its EXIF orientation has its turned size.
Boxes in another order or unit are repaired together. They are converted only if exactly one order of the numbers gives
boxes inside the images, because boxes in the wrong order are valid boxes at wrong positions.
"""

from collections.abc import Sequence
from typing import Literal

from usaggr.data.read.coordinate_checks import FITTING, are_inside

Size = tuple[int, int]
"""Height and width of an image, in pixels."""
Order = Literal["corners", "xywh", "center"]
"""Order of the numbers of a box: x_min, y_min, x_max, y_max; x_min, y_min, width, height; x and y of the center, width,
height."""
ORDERS: tuple[Order, ...] = ("corners", "xywh", "center")


def clip_box(sides: Sequence[float], size: Size) -> list[float] | None:
    """Return a box clipped to an image; None if nothing of it is inside."""
    limits = (size[1], size[0], size[1], size[0])
    clipped = [min(max(value, 0.0), limit) for value, limit in zip(sides, limits, strict=True)]
    has_area = clipped[0] < clipped[2] and clipped[1] < clipped[3]
    return clipped if has_area else None


def swap_sides(sides: Sequence[float], size: Size) -> list[float] | None:
    """Return a box with its minima and maxima exchanged where necessary; None if it is not inside its image."""
    x1, y1, x2, y2 = sides
    swapped = [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
    limits = (size[1], size[0], size[1], size[0])
    is_inside = all(0 <= value <= limit for value, limit in zip(swapped, limits, strict=True))
    return swapped if is_inside and x1 != x2 and y1 != y2 else None


def to_corners(values: Sequence[float], order: Order) -> list[float]:
    """Return the corners of a box (x_min, y_min, x_max, y_max) from numbers in another order."""
    x, y, width, height = values
    match order:
        case "corners":
            return [x, y, width, height]
        case "xywh":
            return [x, y, x + width, y + height]
        case "center":
            return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def scale_fractions(values: Sequence[float], size: Size) -> list[float] | None:
    """Return coordinates (x, y, x, y, ...) in pixels from fractions of the image; None if one is not in [0, 1]."""
    if not all(0 <= value <= 1 for value in values):
        return None
    return [value * size[1 - i % 2] for i, value in enumerate(values)]


def find_only_order(boxes: Sequence[Sequence[float]], sizes: Sequence[Size], orders: Sequence[Order]) -> Order | None:
    """Return the order in which boxes are inside their images; None if there are several such orders, or none.

    Args:
        boxes: Four numbers of each box, in pixels.
        sizes: Size of each box's image.
        orders: Orders to try.
    """
    fitting: list[Order] = []
    for order in orders:
        count = sum(is_box_inside(to_corners(box, order), size) for box, size in zip(boxes, sizes, strict=True))
        if boxes and count >= FITTING * len(boxes):
            fitting.append(order)
    return fitting[0] if len(fitting) == 1 else None


def is_box_inside(corners: Sequence[float], size: Size) -> bool:
    """Return whether a box has an area and is inside an image."""
    return corners[0] < corners[2] and corners[1] < corners[3] and are_inside(corners, size)
