"""Images of a DICOM, NIfTI or MetaImage file, as `convert_folder` writes them to PNG."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 100_000_000
"""Largest number of pixels of one frame, the default of data.max_pixels."""
_MAX_PIXELS_OF_ALL_FRAMES = 20 * MAX_PIXELS
"""Largest number of pixels of all frames of a file together."""


class UnreadableFileError(Exception):
    """A file that cannot be converted; its text is the reason, the same for all files of one kind."""


@dataclass(frozen=True)
class MedicalFile:
    """The frames of a file, and what is known about them."""

    frames: int
    read: Callable[[int], NDArray[Any]]
    """Function that returns the pixels of a frame, from 0: (H, W) or (H, W, 3)."""
    limits: tuple[float, float] | None = None
    """Smallest and largest value that pixels can have, from the header; None if the header does not say so."""
    is_fractional: bool = False
    """True if the header's rescaling gives values that are not whole numbers, even if those of a frame happen to be."""
    columns: dict[str, str] = field(default_factory=dict)
    """Columns of the index: pixel_spacing, subject_id."""
    remarks: tuple[str, ...] = ()
    """Remarks that are counted over files."""
    axes: str = ""
    """Directions of x and y in the patient, such as LP; empty if the file does not say so."""


def format_spacing(x: float, y: float) -> dict[str, str]:
    """Return the column pixel_spacing, `[x, y]` in millimeters per pixel; nothing if the values are not valid."""
    if not (np.isfinite([x, y]).all() and x > 0 and y > 0):
        return {}
    return {"pixel_spacing": f"[{x:.7g}, {y:.7g}]"}


def check_shape(shape: tuple[int, ...]) -> None:
    """Check that a file is an image or a sequence of images, and not too large.

    `shape` is width, height and, for a sequence, the number of frames.

    Raises:
        UnreadableFileError: The shape is not allowed.
    """
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise UnreadableFileError(f"has {len(shape)} axes; an image has 2, a sequence of images 3")
    if math.prod(shape) > _MAX_PIXELS_OF_ALL_FRAMES or shape[0] * shape[1] > MAX_PIXELS:
        raise UnreadableFileError(f"has more than {MAX_PIXELS} pixels per frame, or too many frames")


def convert_to_stored_values(
    pixels: NDArray[Any], limits: tuple[float, float] | None, is_fractional: bool = False
) -> tuple[NDArray[Any], bool]:
    """Return pixels as 8 or 16 bits without a sign, and whether they were scaled.

    Whole numbers from 0 to 65535 stay as they are: with 8 bits if the header's limits, or else the type of the file,
    have 8 bits, so that all files of one kind get the same number of bits. Other values are scaled from `limits`, so
    that all files with the same header are scaled alike.

    Args:
        pixels: (H, W) or (H, W, 3).
        limits: smallest and largest value that pixels can have, from the header; None if it does not say so.
        is_fractional: True if values of other frames with this header need not be whole numbers.

    Raises:
        UnreadableFileError: The values are not whole numbers from 0 to 65535, and no limits are known; or they are
            colors of more than 8 bits.
    """
    if pixels.dtype == np.uint8:  # also colors, which have no rescaling
        return pixels, False
    if pixels.ndim == 3:
        raise UnreadableFileError("has colors of more than 8 bits; save it with 8 bits per color")
    low, high = limits or (float(pixels.min()), float(pixels.max()))
    if not is_fractional and low >= 0 and high <= 65535 and (pixels == np.round(pixels)).all():
        # Without limits, the type decides, not the largest value: 8 and 16 bits in files of one type would be scaled
        # by different numbers (`ReadingRules.bit_depth`).
        is_small = high <= 255 and (limits is not None or pixels.dtype.itemsize == 1)
        return pixels.astype(np.uint8 if is_small else np.uint16), False
    if limits is None:
        raise UnreadableFileError("has values that are not whole numbers from 0 to 65535; save it with 8 or 16 bits")
    scaled = np.round((np.clip(pixels, low, high) - low) / max(high - low, 1e-12) * 65535)
    return scaled.astype(np.uint16), True
