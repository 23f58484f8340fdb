"""Class indices of mask files: of gray values, palettes, colors and alpha channels.

The class of a pixel is what is drawn: where the palette of a mask contradicts its indices, the gray values count, and
where transparency contradicts the values, the mask is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usaggr.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_COLORS = 64
"""Largest number of palette colors of a mask that are compared with those of other masks."""


@dataclass(frozen=True)
class MaskValues:
    """Decoded class indices of a mask."""

    values: NDArray[Any]
    """(H, W) uint8 or uint16."""
    drawn: bool = False
    """True if the values are the gray values of a palette."""
    colors: tuple[tuple[int, str], ...] = ()
    """Index and color (rrggbb) of each used entry of a palette with colors; empty otherwise."""


def extract_values(image: "Image", name: str) -> MaskValues:
    """Return the class indices of a loaded mask of at most 8 bits per channel.

    Args:
        image: The loaded mask.
        name: Name of the file in messages.

    Raises:
        DataError: The file is a color image, or its values, palette and transparency contradict each other.
    """
    if image.mode == "F":
        raise DataError(f"{name}: is a mask of floating-point numbers; its values must be class indices")
    if image.mode in ("P", "PA"):
        return _extract_from_palette(image, name)
    stored = np.asarray(image)
    if stored.ndim == 3:
        stored = merge_equal_channels(stored, image.mode, name)
    values = stored.astype(np.uint8)
    alpha = _find_alpha(image)
    if alpha is not None:
        _check_alpha(values, alpha, name)
    return MaskValues(values)


def merge_equal_channels(stored: NDArray[Any], mode: str, name: str) -> NDArray[Any]:
    """Return one of the equal channels of a mask (H, W, C), without its alpha channel.

    Args:
        stored: Values of the mask.
        mode: Pillow's mode.
        name: Name of the file in messages.

    Raises:
        DataError: The channels differ.
    """
    if mode in ("LA", "La") or (mode in ("RGB", "RGBA") and not (stored[:, :, :1] != stored[:, :, 1:3]).any()):
        return stored[:, :, 0]
    raise DataError(f"{name}: is a color mask ({mode}); its values must be class indices")


def _extract_from_palette(image: "Image", name: str) -> MaskValues:
    """Return the class indices of a mask with a palette; see `extract_values` for the arguments.

    Indices are classes if the palette agrees: its gray values increase with the index, or its colors leave the index 0
    to black. Programs that make files smaller number the entries at random; such gray palettes are read by their gray
    values, as a picture without a palette.
    """
    stored = np.asarray(image)
    indices = (stored[:, :, 0] if stored.ndim == 3 else stored).astype(np.uint8)
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=1)).tolist()
    palette = np.zeros((256, 3), np.uint8)
    entries = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    palette[: len(entries)] = entries
    colors = palette[used]
    drawn, named = False, tuple[tuple[int, str], ...]()
    values = indices
    if (colors == colors[:, :1]).all():
        grays = colors[:, 0].tolist()
        drawn = not _is_gray_order(used, grays)
        values = palette[:, 0][indices] if drawn else indices
    else:
        black = [index for index, color in zip(used, colors, strict=True) if not color.any()]
        if black and black != [0]:
            raise DataError(
                f"{name}: is a mask with a palette in which black is number {black[-1]}, not 0, so that its numbers "
                "are not classes with 0 for the background; save it as a grayscale file of class indices"
            )
        named = tuple((index, bytes(palette[index]).hex()) for index in used[:MAX_COLORS])
    alpha = _find_alpha(image)
    if alpha is not None:
        _check_alpha(values, alpha, name)
    return MaskValues(values, drawn, named)


def _is_gray_order(used: Sequence[int], grays: Sequence[int]) -> bool:
    """Return whether the indices of a gray palette can be classes: brighter colors have larger indices, 0 is dark.

    Args:
        used: Indices that occur in the mask, ascending.
        grays: Gray value of each.
    """
    if any(first >= second for first, second in pairwise(grays)):
        return False
    return grays[0] < 128 if used[0] == 0 else grays[0] > 0


def _find_alpha(image: "Image") -> NDArray[np.uint8] | None:
    """Return the alpha channel (H, W) of a mask; None without one, or if it is the same everywhere."""
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        return None
    alpha = np.asarray(image.convert("RGBA"))[:, :, 3]
    return None if (alpha == alpha.flat[0]).all() else alpha


def _check_alpha(values: NDArray[Any], alpha: NDArray[np.uint8], name: str) -> None:
    """Refuse a mask whose label may be in its alpha channel, or whose transparent pixels have a class.

    Args:
        values: (H, W) class indices.
        alpha: (H, W) alpha channel, which is not the same everywhere.
        name: Name of the file in messages.
    """
    if (values == values.flat[0]).all():
        raise DataError(
            f"{name}: has the value {int(values.flat[0])} everywhere, and its label seems to be in its alpha channel; "
            "save that channel as a grayscale file of class indices"
        )
    hidden = int(((alpha == 0) & (values != 0)).sum())
    if hidden:
        raise DataError(
            f"{name}: has {hidden} transparent pixels with a class other than 0; save it without an alpha channel, "
            "with 0 where nothing is labeled"
        )
