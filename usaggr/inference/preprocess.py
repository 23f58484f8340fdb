"""Preprocessing of an image, from a file or an array, with the functions that make the cache of training images."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from usaggr.data.batches.resizing import resize_image
from usaggr.data.read.file_kinds import find_kind
from usaggr.data.read.image_reading import FIRST_READING, FIRST_RULES, ImageReading, ReadingRules
from usaggr.data.read.images import decode_pixels, examine_image, open_image, read_bytes
from usaggr.data.read.pixel_sizes import format_pixels
from usaggr.errors import DataError
from usaggr.results.trained_model import StoredRun

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

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


def get_reading_rules(stored: StoredRun, task_id: str) -> ReadingRules:
    """Return how a run read the images of a task; runs of older versions read them by `FIRST_RULES`."""
    rules = (stored.source.data.readings or {}).get(task_id)
    return FIRST_RULES if rules is None else ReadingRules(**asdict(rules))


def get_reading(rules: ReadingRules) -> ImageReading:
    """Return how images are read by the rules of a run."""
    return FIRST_READING if rules == FIRST_RULES else rules.make_reading()


def prepare(
    image: Image, size: tuple[int, int], channels: int, max_pixels: int, rules: ReadingRules = FIRST_RULES
) -> PreparedImage:
    """Read an image and resize it; its aspect ratio is not kept, as in training.

    Args:
        image: Path or pixels.
        size: Height and width of the network's input.
        channels: Channels of the network's input, 1 or 3.
        max_pixels: Limit on the pixels of the original image.
        rules: How the images of the task were read for training.

    Raises:
        DataError: The file is missing, incomplete or not an image; the image has more than `max_pixels`, or cannot be
            read by the rules; or the array has another shape or type.
    """
    if isinstance(image, np.ndarray):
        pixels = _read(partial(_open_array, image, max_pixels), "the image", channels, rules)
    else:
        content, name = read_bytes(Path(image)), os.fspath(image)
        pixels = _read(partial(open_image, content, name, max_pixels), name, channels, rules)
    return PreparedImage(resize_image(pixels, size, channels), pixels.shape[0], pixels.shape[1])


def _read(open_again: "Callable[[], PillowImage]", name: str, channels: int, rules: ReadingRules) -> NDArray[np.uint8]:
    """Return the pixels of an image, (H, W, channels) uint8.

    Args:
        open_again: Opens the image; it is called again for each step that decodes the image.
        name: Name of the image in messages.
        channels: Channels of the result, 1 or 3.
        rules: How the images of the task were read for training.

    Raises:
        DataError: The image cannot be read, or its orientation or transparency needs a decision that `rules` lacks.
    """
    if rules != FIRST_RULES and not find_kind(open_again()).is_plain(is_mask=False):
        ambiguity = rules.find_ambiguity(examine_image(open_again(), name))
        if ambiguity is not None:
            raise DataError(f"{name}: {ambiguity.reason}; {ambiguity.remedy_for_file}")
    return decode_pixels(open_again(), name, channels, get_reading(rules))


def _open_array(array: NDArray[np.uint8], max_pixels: int) -> "PillowImage":
    """Return an array as an opened image.

    Args:
        array: Pixels as for `Image`.
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
        raise DataError(f"the image: {format_pixels(shape[0], shape[1])} are more than data.max_pixels={max_pixels}")
    squeezed = array[:, :, 0] if shape[2:] == (1,) else array  # Pillow has no images of shape (H, W, 1)
    return Pillow.fromarray(np.ascontiguousarray(squeezed))
