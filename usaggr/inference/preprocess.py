"""Preprocessing of an image, from a file or an array, with the functions that make the cache of training images."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usaggr.data.batches.resizing import resize_image
from usaggr.data.read.images import decode_pixels, read_image
from usaggr.errors import DataError

Image = str | os.PathLike[str] | NDArray[np.uint8]
"""Path, or uint8 pixels: (H, W) or (H, W, 1) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB, (H, W, 4) RGB and alpha."""


@dataclass(frozen=True)
class PreparedImage:
    """Image at the size of the network."""

    pixels: NDArray[np.uint8]
    """(h, w, C); C is 1 or 3."""
    height: int
    """Height of the original image in pixels."""
    width: int
    """Width of the original image in pixels."""


def prepare(image: Image, size: tuple[int, int], channels: int, max_pixels: int) -> PreparedImage:
    """Read an image and resize it; its aspect ratio is not kept, as in training.

    Args:
        image: Path or pixels.
        size: Height and width of the network's input.
        channels: Channels of the network's input, 1 or 3.
        max_pixels: Limit on the pixels of the original image.

    Raises:
        DataError: The file is missing, incomplete or not an image; the image has more than `max_pixels`; or the array
            has another shape or type.
    """
    if isinstance(image, np.ndarray):
        pixels = _read_array(image, channels, max_pixels)
    else:
        pixels = read_image(Path(image), channels, max_pixels)
    return PreparedImage(resize_image(pixels, size, channels), pixels.shape[0], pixels.shape[1])


def _read_array(array: NDArray[np.uint8], channels: int, max_pixels: int) -> NDArray[np.uint8]:
    """Return the pixels of an array, converted like those of a file: (H, W, channels) uint8.

    Args:
        array: Pixels as for `Image`.
        channels: Channels of the result, 1 or 3.
        max_pixels: Limit on H x W.

    Raises:
        DataError: The array has another shape or type, or too many pixels.
    """
    from PIL import Image as Pillow

    shape = array.shape
    if (
        array.dtype != np.uint8
        or array.size == 0
        or len(shape) not in (2, 3)
        or shape[2:] not in ((), (1,), (2,), (3,), (4,))
    ):
        raise DataError(
            f"the image: an array {shape} of {array.dtype}; pixels must be uint8, (H, W) or (H, W, C) with 1, 2, 3 "
            "or 4 channels"
        )
    if shape[0] * shape[1] > max_pixels:
        raise DataError(f"the image: {shape[1]} x {shape[0]} pixels are more than data.max_pixels={max_pixels}")
    squeezed = array[:, :, 0] if shape[2:] == (1,) else array  # Pillow has no images of shape (H, W, 1)
    return decode_pixels(Pillow.fromarray(np.ascontiguousarray(squeezed)), "the image", channels)
