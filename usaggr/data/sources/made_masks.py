"""Masks that are made from the masks of a source: joined, filled, with a threshold, or drawn from COCO's objects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usaggr.data.read.images import read_mask
from usaggr.data.read.pixel_sizes import format_pixels
from usaggr.data.sources.table import SourceRow, SourceTable, find_path_below
from usaggr.errors import DataError
from usaggr.io.atomic_files import make_write_error, replace_file

FOLDER = "made_masks"
"""Folder below `--out` in which made masks are written."""
_MAX_PIXELS = 100_000_000
"""Largest number of pixels of a mask, the default of data.max_pixels."""


@dataclass(frozen=True)
class MaskChanges:
    """Changes of the masks of a source."""

    fill: bool = False
    """Fill outlines: the mask is the area inside them."""
    threshold: int | None = None
    """Values of at least this are class 1, all others 0: for masks in JPEG files, whose values are blurred."""


NO_CHANGES = MaskChanges()


def change_masks(table: SourceTable, root: Path, changes: MaskChanges = NO_CHANGES) -> SourceTable:
    """Write the masks that have to be made below `<root>/made_masks/<task>/`, and return the table with them.

    Masks that stay as they are are not written.

    Args:
        table: The samples; its `several` says what is made of several masks of an image.
        root: Folder of the index.
        changes: Changes of all masks.

    Raises:
        DataError: A mask cannot be read, masks of an image have different sizes or classes, or a file is outside the
            root.
    """
    changed: list[SourceRow] = []
    made = joined = open_outlines = 0
    for row in table.rows:
        if row.drawing is None and not row.further_masks and not changes.fill and changes.threshold is None:
            changed.append(row)
            continue
        if table.several == "largest" and row.further_masks:
            row = replace(row, mask=_find_largest(row), further_masks=())
            joined += 1
            if not changes.fill and changes.threshold is None:
                changed.append(row)
                continue
        joined += bool(row.further_masks)
        values = row.drawing() if row.drawing is not None else _read_masks(row, changes.threshold)
        if changes.fill:
            values, is_open = fill_outlines(values)
            open_outlines += is_open
        path = _make_path(row.image, root, table.task)
        write_png(path, values)
        made += 1
        changed.append(replace(row, mask=path, further_masks=(), drawing=None))
    notes = list(table.notes)
    if joined:
        verb = "the largest is used" if table.several == "largest" else "their masks are joined"
        notes.append(f"images with several masks: {joined}; {verb}")
    if open_outlines:
        notes.append(f"open outlines: {open_outlines}; their convex hull is filled")
    if made:
        notes.append(f"masks written to {root / FOLDER / table.task}: {made}")
    return replace(table, rows=tuple(changed), notes=tuple(notes))


def fill_outlines(values: NDArray[Any]) -> tuple[NDArray[np.uint8], bool]:
    """Return 1 inside the outlines of a mask, and whether an outline is open, so that its convex hull is filled.

    Args:
        values: (H, W), zero outside the outlines.
    """
    import cv2
    from scipy.ndimage import binary_fill_holes

    outline = values > 0
    if not outline.any():
        return outline.astype(np.uint8), False
    filled = np.asarray(binary_fill_holes(outline))
    points = np.argwhere(outline)[:, ::-1].astype(np.int32)
    hull = np.zeros(outline.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    # An outline that ends at the border of the image is thin and encloses nothing.
    is_open = bool(outline.sum() < 0.5 * hull.sum() and (filled & ~outline).sum() < 0.1 * hull.sum())
    if is_open:
        filled = hull > 0
    return filled.astype(np.uint8), is_open


def _find_largest(row: SourceRow) -> Path:
    """Return the mask with the most pixels of a class."""
    return max(_list_files(row), key=lambda path: int((read_mask(path, False, _MAX_PIXELS) > 0).sum()))


def _list_files(row: SourceRow) -> Sequence[Path]:
    return [*([row.mask] if row.mask is not None else []), *row.further_masks]


def _read_masks(row: SourceRow, threshold: int | None) -> NDArray[Any]:
    """Return the union of a row's masks, (H, W).

    Raises:
        DataError: Masks have different sizes, or a pixel has two classes.
    """
    union: NDArray[Any] | None = None
    for path in _list_files(row):
        values = read_mask(path, False, _MAX_PIXELS)
        if threshold is not None:
            values = (values >= threshold).astype(np.uint8)
        if union is None:
            union = values
            continue
        if values.shape != union.shape:
            raise DataError(
                f"{path}: has {format_pixels(*values.shape)}, other masks of {row.image} have "
                f"{union.shape[0]} x {union.shape[1]}; masks of one image need one size"
            )
        if ((values > 0) & (union > 0) & (values != union)).any():
            raise DataError(f"{path}: has another class than a further mask of {row.image} in the same pixels")
        union = np.maximum(values, union)
    if union is None:
        raise DataError(f"{row.image}: has no mask")
    return union


def _make_path(image: Path, root: Path, task: str) -> Path:
    """Return the path of a made mask, which has the path of its image below the root."""
    relative = find_path_below(image, root)
    return root / FOLDER / task / relative.parent / f"{relative.name}.png"


def write_png(path: Path, values: NDArray[Any]) -> None:
    """Write an image of 8 or 16 bits, and make its folder.

    Raises:
        WriteError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            temporary.write_bytes(encode_png(values))
    except OSError as error:
        raise make_write_error(path, error) from error


def encode_png(values: NDArray[Any]) -> bytes:
    """Return the content of a PNG file of 8 or 16 bits."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()
