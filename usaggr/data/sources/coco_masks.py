"""Masks of COCO's objects: polygons, and run-length encodings as lists or as compressed text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.data.sources.coco_file import parse_numbers
from usaggr.data.sources.coco_sizes import read_size
from usaggr.errors import DataError

_MAX_PIXELS = 100_000_000
"""Largest number of pixels of a mask, the default of data.max_pixels."""


def draw_objects(
    image: Path, shapes: Sequence[tuple[int, object]], size: tuple[int, int] | None, source: str
) -> NDArray[np.uint8]:
    """Return the class index of each pixel; smaller objects are drawn over larger ones.

    Args:
        image: The image, whose size the mask has.
        shapes: Class index and `segmentation` of each object.
        size: Width and height in the JSON, which the coordinates belong to; None if they are those of the image.
        source: Name of the COCO file, for messages.

    Returns:
        (H, W) uint8.

    Raises:
        DataError: A segmentation is not valid, or the image cannot be read.
    """
    stored = read_size(image)
    if stored is None:
        raise DataError(f"{image}: cannot be read as an image, so its mask cannot be drawn")
    width, height = size or (int(stored.width), int(stored.height))
    if width * height > _MAX_PIXELS:
        raise DataError(f"{source}: image {image.name} has {width} x {height} pixels; at most {_MAX_PIXELS} are drawn")
    values = np.zeros((height, width), np.uint8)
    areas = np.full((height, width), width * height + 1, np.int64)
    """Number of pixels of the object that is drawn in each pixel."""
    for number, shape in shapes:
        try:
            mask = _draw_shape(shape, height, width)
        except ValueError as error:
            raise DataError(f"{source}: image {image.name}: segmentation {error}") from error
        area = int(mask.sum())
        mask &= areas >= area
        values[mask], areas[mask] = number, area
    # The mask of an image that is stored turned (EXIF orientation) is that of the upright image.
    if stored in ((width, height), (height, width)):
        return values
    import cv2

    resized = cv2.resize(values, (int(stored.width), int(stored.height)), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)


def _draw_shape(shape: object, height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels of a `segmentation`.

    Raises:
        ValueError: It is neither a list of polygons nor a run-length encoding of this size.
    """
    if isinstance(shape, dict):
        return _decode_runs(shape, height, width)
    if isinstance(shape, list) and shape:
        mask = np.zeros((height, width), bool)
        polygons = [shape] if not isinstance(shape[0], list) else shape
        for polygon in polygons:
            values = parse_numbers(polygon)
            if values is None or len(values) < 6 or len(values) % 2:
                raise ValueError("is not a list of polygons x1, y1, x2, y2, ... with three points or more")
            _fill_polygon(mask, np.array(values).reshape(-1, 2))
        return mask
    raise ValueError("is neither a list of polygons nor a run-length encoding")


def _fill_polygon(mask: NDArray[np.bool_], points: NDArray[np.float64]) -> None:
    """Set the pixels whose centers are inside a polygon, whose coordinates begin at the corner of the first pixel."""
    height, width = mask.shape
    left, top = (max(int(v), 0) for v in np.floor(points.min(axis=0)))
    right, bottom = (int(v) for v in np.ceil(points.max(axis=0)))
    right, bottom = min(right, width), min(bottom, height)
    if right <= left or bottom <= top:
        return
    x = np.arange(left, right) + 0.5
    starts, ends = points, np.roll(points, -1, axis=0)
    for line in range(top, bottom):
        y = line + 0.5
        crossing = (starts[:, 1] <= y) != (ends[:, 1] <= y)
        if crossing.any():
            a, b = starts[crossing], ends[crossing]
            at_x = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
            mask[line, left:right] |= np.searchsorted(np.sort(at_x), x) % 2 == 1  # edges to the left of each center


def _decode_runs(encoded: dict[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    """Decode runs of 0 and 1, which go down the columns and begin with 0."""
    counts = encoded.get("counts")
    runs = _uncompress(counts) if isinstance(counts, str) else parse_numbers(counts)
    if encoded.get("size") != [height, width]:
        raise ValueError(
            f"has the size {encoded.get('size')!s:.40} (height, width), but the image has {[height, width]}"
        )
    if runs is None or any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"is a run-length encoding whose counts are not those of {height} x {width} pixels")
    lengths = np.array(runs, np.int64)
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return values.reshape(width, height).T


def _uncompress(text: str) -> list[float] | None:
    """Return the counts in COCO's compressed text; None if it is not valid.

    Each character has 5 bits of a number, and one bit that says that the number continues. From the fourth number on,
    the difference to the number two before is stored.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return [float(count) for count in counts] if not shift else None
