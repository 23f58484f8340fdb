"""From the bytes of an image or mask file to an array: the one decoder, so that what validation read is what trains.

Pixels are those that are stored: an EXIF orientation is not applied, since labels are coordinates of the stored image.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usaggr.data.read import readers_version
from usaggr.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


def read_image(path: Path, channels: int, max_pixels: int) -> NDArray[np.uint8]:
    """Pixels of an image file: (H, W, channels) uint8.

    `channels` is 1 or 3; grey images are repeated for 3, colours become luma (ITU-R 601) for 1. Alpha is dropped, and
    16-bit values are scaled to 8 bits, unless none exceeds 255.

    Raises:
        DataError: not there, not an image, not whole, or larger than `max_pixels`.
    """
    return image_pixels(open_image(read_bytes(path), str(path), max_pixels), str(path), channels)


def read_mask(path: Path, foreground_255: bool, max_pixels: int) -> NDArray[Any]:
    """Class index of each pixel of a mask file: (H, W) uint8, or uint16 where the file has 16 bits.

    Palette files give their indices and 1-bit files 0 and 1. `foreground_255` reads 255 as 1 where no other value than
    0 and 255 is there.

    Raises:
        DataError: not there, not an image, not whole, larger than `max_pixels`, or a picture in colours.
    """
    return mask_values(open_image(read_bytes(path), str(path), max_pixels), str(path), foreground_255)


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def open_image(content: bytes, name: str, max_pixels: int | None) -> "Image":
    """An image whose header has been read, and nothing else; `name` is for messages.

    Raises:
        DataError: not an image, or larger than `max_pixels` (None: no limit).
    """
    from PIL import Image, UnidentifiedImageError

    # PIL's own limit would refuse by another number than the user's, data.max_pixels.
    Image.MAX_IMAGE_PIXELS = None
    try:
        image = Image.open(io.BytesIO(content), formats=tuple(readers_version.FORMATS))
    except UnidentifiedImageError as error:
        what = "is empty" if not content else f"is none of {', '.join(readers_version.FORMATS)}"
        raise DataError(f"{name}: cannot be read as an image: the file {what}") from error
    except Exception as error:  # decoders raise many kinds of exception on broken files
        raise DataError(f"{name}: cannot be read as an image: {error}") from error
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise DataError(f"{name}: {image.width} x {image.height} pixels are more than data.max_pixels={max_pixels}")
    return image


def image_pixels(image: "Image", name: str, channels: int) -> NDArray[np.uint8]:
    """Decode an opened image: (H, W, channels) uint8, as `read_image` says.

    Raises:
        DataError: not whole, or of an unknown kind.
    """
    pixels = _pixels(image, name, channels)
    return pixels if pixels.shape[2] == channels else np.repeat(pixels, channels, axis=2)


def distinct_pixels(content: bytes, name: str, channels: int, max_pixels: int) -> NDArray[np.uint8]:
    """What `read_image` gives, with one channel where all are alike: (H, W, 1) or (H, W, channels) uint8.

    For content that has been decoded before, by validation: OpenCV decodes plain PNG files faster and to the same
    pixels, but does not say of every one whether it is whole.

    Raises:
        DataError: not an image, or larger than `max_pixels`.
    """
    image = open_image(content, name, max_pixels)
    pixels = _plain_png(image, content, channels)
    if pixels is None:
        pixels = _pixels(image, name, channels)
    return _first_if_alike(pixels) if pixels.shape[2] == 3 else pixels


def mask_values(image: "Image", name: str, foreground_255: bool) -> NDArray[Any]:
    """Decode an opened mask: (H, W) uint8 or uint16, as `read_mask` says.

    Raises:
        DataError: not whole, or a picture in colours.
    """
    _decode(image, name)
    stored = np.asarray(image)
    if image.mode == "F":
        raise DataError(f"{name}: a mask of floating-point numbers; its values must be class indices")
    if image.mode in ("LA", "La", "PA"):
        stored = stored[:, :, 0]
    elif stored.ndim == 3:
        if image.mode not in ("RGB", "RGBA") or (stored[:, :, :1] != stored[:, :, 1:3]).any():
            raise DataError(f"{name}: a mask in colours ({image.mode}); its values must be class indices")
        stored = stored[:, :, 0]
    if image.mode.startswith("I") and stored.size and (stored.min() < 0 or stored.max() > np.iinfo(np.uint16).max):
        raise DataError(f"{name}: mask values from {stored.min()} to {stored.max()}; class indices fit in 16 bits")
    values: NDArray[Any] = stored.astype(np.uint16 if image.mode.startswith("I") else np.uint8)
    if foreground_255 and values.max(initial=0) == 255 and np.isin(values, (0, 255)).all():
        values = (values == 255).astype(np.uint8)
    return values


def _pixels(image: "Image", name: str, channels: int) -> NDArray[np.uint8]:
    """As `image_pixels`, but with one channel of what is stored as grey."""
    _decode(image, name)
    if image.mode.startswith("I"):
        return _eight_bits(np.asarray(image))[:, :, None]
    if image.mode == "F":
        raise DataError(f"{name}: an image of floating-point numbers; save it with 8 or 16 bits")
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "RGB" if channels == 3 and image.mode not in ("1", "L", "LA") else "L"
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels if mode == "RGB" else pixels[:, :, None]


_PLAIN = {b"\x08\x00\x00\x00\x00": "L", b"\x08\x02\x00\x00\x00": "RGB"}
"""How the header of a plain PNG file ends: 8 bits, grey or colour, one method of each kind, not interlaced."""


def _plain_png(image: "Image", content: bytes, channels: int) -> NDArray[np.uint8] | None:
    """Pixels of a PNG file that leaves nothing to choose; None of any other."""
    mode = _PLAIN.get(content[24:29]) if image.format == "PNG" and content[12:16] == b"IHDR" else None
    if mode is None or (mode == "RGB" and channels == 1) or getattr(image, "is_animated", False):
        return None
    import cv2

    flags = cv2.IMREAD_GRAYSCALE if mode == "L" else cv2.IMREAD_COLOR_RGB
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if pixels is None or pixels.shape[:2] != (image.height, image.width):
        return None
    found: NDArray[np.uint8] = np.asarray(pixels, np.uint8)
    return found.reshape(image.height, image.width, -1)


def _first_if_alike(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One of three channels, if they are the same everywhere."""
    import cv2

    few = pixels[::16]  # tells most pictures in colour from grey ones, and costs little
    if (few[:, :, 0] != few[:, :, 1]).any() or (few[:, :, 0] != few[:, :, 2]).any():
        return pixels
    first, second, third = (np.asarray(channel, np.uint8) for channel in cv2.split(pixels))
    return first[:, :, None] if (first == second).all() and (first == third).all() else pixels


def _decode(image: "Image", name: str) -> None:
    _refuse_large_tiles(image, name)
    try:
        image.load()
    except Exception as error:  # decoders raise many kinds of exception on broken files
        raise DataError(f"{name}: cannot be decoded: {error}") from error


_TILE_WIDTH, _TILE_LENGTH = 322, 323
"""Tags of a TIFF file."""
_SPARE = 2**22
"""Pixels that a tile may have more than its image: tiles have a size of their own, which small images do not fill."""


def _refuse_large_tiles(image: "Image", name: str) -> None:
    """A TIFF file's tiles are decoded whole, however little of them is within the image."""
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    width, height = (tags.get(tag) for tag in (_TILE_WIDTH, _TILE_LENGTH)) if tags else (None, None)
    if width is None or height is None:
        return
    if not isinstance(width, int) or not isinstance(height, int):
        raise DataError(f"{name}: cannot be decoded: the size of its tiles is no number")
    if width * height > image.width * image.height + _SPARE:
        raise DataError(
            f"{name}: tiles of {width} x {height} pixels in an image of {image.width} x {image.height}; "
            "save it without tiles"
        )


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16 bits to 8 by the full range; values that fit in 8 bits were stored in 16 without being scaled."""
    if values.max(initial=0) > 255:
        values = values // 257
    return values.clip(0, 255).astype(np.uint8)
