"""Repairs of mask files whose class indices are certain.

A mask is repaired as it is drawn: transparent pixels and black are background, white is the class 1 of two classes, and
colors are classes if the other masks of the task tell which ones, or if there is one color and two classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usaggr.data.read.file_kinds import ALPHA_MODES, find_orientation, has_alpha, is_deep
from usaggr.data.read.high_bit_depth import decode_high_bit_depth, get_file_content
from usaggr.data.read.image_reading import Orientation
from usaggr.data.read.images import load_image, open_image, read_bytes, turn_pixels
from usaggr.data.read.mask_values import MAX_COLORS, extract_values, merge_equal_channels
from usaggr.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

BLACK = "000000"


@dataclass(frozen=True)
class MaskContext:
    """Facts about a mask from its row, its image and the other masks of its task."""

    num_classes: int
    max_pixels: int
    size: tuple[int, int] | None = None
    """Height and width of the image as it is read; None if it cannot be read."""
    image_orientation: int = 1
    """EXIF orientation of the image."""
    exif_orientation: Orientation | None = None
    """Value of `data.exif_orientation`."""
    colors: Mapping[str, int] = field(default_factory=dict)
    """Class by color (rrggbb) in most masks of the task; empty if they have no colors."""
    recolor: bool = False
    """True if the mask's own numbers of colors are known to be wrong."""


@dataclass
class _Repair:
    values: NDArray[Any]
    names: list[str]
    """Names of the changes, such as mask_255."""


def convert_mask(path: Path, context: MaskContext) -> tuple[NDArray[Any], str] | None:
    """Return the class indices of a mask that is not valid, (H, W) uint8, and the names of the repairs.

    Args:
        path: The mask.
        context: What is known about it.

    Returns:
        None if the class of a pixel is not certain.
    """
    name = str(path)
    try:
        image = open_image(read_bytes(path), name, context.max_pixels)
        repair = _decode(image, name, context)
    except DataError:
        return None
    if repair is None or not _turn(repair, find_orientation(image) if image.format != "TIFF" else 1, context):
        return None
    values = repair.values
    highest = int(values.max(initial=0))
    if context.num_classes == 2 and highest in (255, 65535) and np.isin(values, (0, highest)).all():
        values = values == highest
        repair.names.append("mask_255")
    elif highest >= context.num_classes:
        return None
    return (values.astype(np.uint8), ", ".join(repair.names)) if repair.names else None


def _decode(image: "Image", name: str, context: MaskContext) -> _Repair | None:
    """Decode a mask to gray values or class indices.

    Args:
        image: The opened mask.
        name: Its name in messages.
        context: What is known about it.

    Raises:
        DataError: It cannot be decoded.
    """
    deep, content = is_deep(image), get_file_content(image)
    load_image(image, name)
    if deep:
        stored = decode_high_bit_depth(image, content, name)
        mode = "L" if stored.ndim == 2 else ("RGB", "RGBA")[stored.shape[2] - 3]
        if mode == "RGBA" and (stored[:, :, 3] != stored[0, 0, 3]).any():
            return None
        return _Repair(stored if mode == "L" else merge_equal_channels(stored, mode, name), [])
    if image.mode == "F":
        floats = np.asarray(image)
        if (
            not np.isfinite(floats).all()
            or (floats != np.round(floats)).any()
            or floats.min() < 0
            or floats.max() > 255
        ):
            return None
        return _Repair(floats.astype(np.uint8), ["mask_float"])
    if not context.recolor:
        try:
            return _Repair(extract_values(image, name).values, [])
        except DataError:
            pass  # colors, or an alpha channel that contradicts the values
    return _decode_drawn(image, name, context)


def _decode_drawn(image: "Image", name: str, context: MaskContext) -> _Repair | None:
    """Return the classes of a mask as it is drawn; see `_decode` for the arguments."""
    if image.mode not in ("P", "RGB", "L", "1", *ALPHA_MODES):
        return None
    drawn = np.asarray(image.convert("RGBA"))
    alpha = drawn[:, :, 3]
    if not has_alpha(image) or (alpha == alpha.flat[0]).all():
        opaque, names = np.ones(alpha.shape, bool), list[str]()
    elif np.isin(alpha, (0, 255)).all():
        opaque, names = alpha == 255, ["mask_alpha"]
    else:
        return None  # half transparent pixels
    colors = np.where(opaque[:, :, None], drawn[:, :, :3], 0)
    is_gray = (colors == colors[:, :, :1]).all()
    if is_gray and image.mode not in ("P", "PA") and not context.recolor:
        # Black on a transparent ground may be the label, or an empty mask.
        return _Repair(colors[:, :, 0], names) if colors.any() else None
    codes = (colors.astype(np.uint32) * (65536, 256, 1)).sum(axis=2)
    used = np.unique(codes)
    if len(used) > MAX_COLORS:
        return None
    classes = _find_classes([f"{code:06x}" for code in used.tolist()], context)
    if classes is None:
        return None
    return _Repair(np.array(classes, np.uint8)[np.searchsorted(used, codes)], [*names, "mask_colors"])


def _find_classes(colors: list[str], context: MaskContext) -> list[int] | None:
    """Return the class of each color of a mask; None if they are not certain."""
    classes = {BLACK: 0, **context.colors} if not context.recolor else context.colors
    if context.colors and all(color in classes for color in colors):
        return [classes[color] for color in colors]
    if context.num_classes == 2 and not context.colors and len(colors) == 2 and BLACK in colors:
        return [int(color != BLACK) for color in colors]
    return None


def _turn(repair: _Repair, orientation: int, context: MaskContext) -> bool:
    """Turn a mask that is marked as turned like its image; return False if its position is not certain.

    Args:
        repair: Its values, which are turned in place.
        orientation: EXIF orientation of the mask.
        context: What is known about it.
    """
    if orientation == 1:
        return True
    turned = turn_pixels(repair.values[:, :, None], orientation)[:, :, 0]
    if context.image_orientation == orientation and context.exif_orientation is not None:
        repair.values = turned if context.exif_orientation == "apply" else repair.values
    elif (turned.shape == context.size) != (repair.values.shape == context.size):
        repair.values = turned if turned.shape == context.size else repair.values
    else:
        return False
    repair.names.append("mask_turned")
    return True
