"""From an image, a file or an array, to the network's input, by the functions that training's cache is made with."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usaggr.data.batches.resizing import resize_image
from usaggr.data.read.images import image_pixels, read_image
from usaggr.errors import DataError

Image = str | os.PathLike[str] | NDArray[np.uint8]
"""A path; or pixels, uint8: (H, W) or (H, W, 1) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB, (H, W, 4) with alpha."""


@dataclass(frozen=True)
class Prepared:
    """An image at the network's size."""

    pixels: NDArray[np.uint8]
    """(h, w, C), C is 1 or 3."""
    height: int
    """Of the image as it was given."""
    width: int


def prepare(image: Image, size: tuple[int, int], channels: int, max_pixels: int) -> Prepared:
    """Read an image and bring it to `size` (height, width), its aspect not kept.

    Raises:
        DataError: not there, not an image, not whole, larger than `max_pixels`; or an array of another shape or type.
    """
    if isinstance(image, np.ndarray):
        pixels = _from_array(image, channels, max_pixels)
    else:
        pixels = read_image(Path(image), channels, max_pixels)
    return Prepared(resize_image(pixels, size, channels), pixels.shape[0], pixels.shape[1])


def _from_array(array: NDArray[np.uint8], channels: int, max_pixels: int) -> NDArray[np.uint8]:
    from PIL import Image as Pillow

    shape = array.shape
    if (
        array.dtype != np.uint8
        or array.size == 0
        or len(shape) not in (2, 3)
        or shape[2:] not in ((), (1,), (2,), (3,), (4,))
    ):
        raise DataError(
            f"the image: an array {shape} of {array.dtype}; pixels are uint8, (H, W) or (H, W, C) with 1, 2, 3 or 4 "
            "channels"
        )
    if shape[0] * shape[1] > max_pixels:
        raise DataError(f"the image: {shape[1]} x {shape[0]} pixels are more than data.max_pixels={max_pixels}")
    plain = array[:, :, 0] if shape[2:] == (1,) else array
    return image_pixels(Pillow.fromarray(np.ascontiguousarray(plain)), "the image", channels)
