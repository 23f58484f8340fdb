"""Decoder from the bytes of an image or mask file to an array, used for validation and for training alike.

Pixels are returned as stored: an EXIF orientation is not applied, because labels are coordinates of the stored image.
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
    """Read the pixels of an image file, (H, W, channels) uint8.

    Alpha channels are dropped. 16-bit values are scaled to 8 bits if at least one exceeds 255.

    Args:
        path: The file.
        channels: 1 or 3. Grayscale images are repeated for 3; color images become luma (ITU-R 601) for 1.
        max_pixels: Largest number of pixels (`data.max_pixels`).

    Raises:
        DataError: The file does not exist, is not an image, is truncated, or has more than `max_pixels` pixels.
    """
    return image_pixels(open_image(read_bytes(path), str(path), max_pixels), str(path), channels)


def read_mask(path: Path, foreground_255: bool, max_pixels: int) -> NDArray[Any]:
    """Read the class index of each pixel of a mask file, (H, W) uint8, or uint16 for files of 16 bits.

    Palette files give their indices, and 1-bit files 0 and 1.

    Args:
        path: The file.
        foreground_255: True to read 255 as 1 if the mask has no other values than 0 and 255.
        max_pixels: Largest number of pixels (`data.max_pixels`).

    Raises:
        DataError: The file does not exist, is not an image, is truncated, has more than `max_pixels` pixels, or is a
            color image.
    """
    return mask_values(open_image(read_bytes(path), str(path), max_pixels), str(path), foreground_255)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def open_image(content: bytes, name: str, max_pixels: int | None) -> "Image":
    """Open an image: only its header is read.

    Args:
        content: Bytes of the file.
        name: Name of the file in messages.
        max_pixels: Largest number of pixels; None for no limit.

    Raises:
        DataError: The content is not an image, or has more than `max_pixels` pixels.
    """
    from PIL import Image, UnidentifiedImageError

    # Pillow has a limit of its own, which would refuse images that the user's data.max_pixels allows.
    Image.MAX_IMAGE_PIXELS = None
    try:
        image = Image.open(io.BytesIO(content), formats=tuple(readers_version.FORMATS))
    except UnidentifiedImageError as error:
        problem = "is empty" if not content else f"is none of {', '.join(readers_version.FORMATS)}"
        raise DataError(f"{name}: cannot be read as an image: the file {problem}") from error
    except Exception as error:  # decoders raise many kinds of exception on broken files
        raise DataError(f"{name}: cannot be read as an image: {error}") from error
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise DataError(f"{name}: has {image.width} x {image.height} pixels, more than data.max_pixels={max_pixels}")
    return image


def image_pixels(image: "Image", name: str, channels: int) -> NDArray[np.uint8]:
    """Decode an opened image to (H, W, channels) uint8, as `read_image`.

    Args:
        image: An image of `open_image`.
        name: Name of the file in messages.
        channels: 1 or 3.

    Raises:
        DataError: The file is truncated or corrupt, or has floating-point values.
    """
    pixels = _pixels(image, name, channels)
    return pixels if pixels.shape[2] == channels else np.repeat(pixels, channels, axis=2)


def distinct_pixels(content: bytes, name: str, channels: int, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an image that validation has decoded before, with one channel if all channels are equal.

    The pixels are those of `read_image`. Plain PNG files are decoded by OpenCV, which is faster and gives the same
    pixels, but does not report every truncated file.

    Args:
        content: Bytes of the file.
        name: Name of the file in messages.
        channels: 1 or 3.
        max_pixels: Largest number of pixels (`data.max_pixels`).

    Returns:
        (H, W, 1) or (H, W, channels) uint8.

    Raises:
        DataError: The content is not an image, or has more than `max_pixels` pixels.
    """
    image = open_image(content, name, max_pixels)
    pixels = _plain_png(image, content, channels)
    if pixels is None:
        pixels = _pixels(image, name, channels)
    return _drop_equal_channels(pixels) if pixels.shape[2] == 3 else pixels


def mask_values(image: "Image", name: str, foreground_255: bool) -> NDArray[Any]:
    """Decode an opened mask to (H, W) uint8 or uint16, as `read_mask`.

    Args:
        image: A mask of `open_image`.
        name: Name of the file in messages.
        foreground_255: True to read 255 as 1 if the mask has no other values than 0 and 255.

    Raises:
        DataError: The file is truncated or corrupt, or is a color image.
    """
    _decode(image, name)
    stored = np.asarray(image)
    if image.mode == "F":
        raise DataError(f"{name}: is a mask of floating-point numbers; its values must be class indices")
    if image.mode in ("LA", "La", "PA"):
        stored = stored[:, :, 0]
    elif stored.ndim == 3:
        if image.mode not in ("RGB", "RGBA") or (stored[:, :, :1] != stored[:, :, 1:3]).any():
            raise DataError(f"{name}: is a color mask ({image.mode}); its values must be class indices")
        stored = stored[:, :, 0]
    if image.mode.startswith("I") and stored.size and (stored.min() < 0 or stored.max() > np.iinfo(np.uint16).max):
        raise DataError(
            f"{name}: has mask values from {stored.min()} to {stored.max()}; class indices must fit in 16 bits"
        )
    values: NDArray[Any] = stored.astype(np.uint16 if image.mode.startswith("I") else np.uint8)
    if foreground_255 and values.max(initial=0) == 255 and np.isin(values, (0, 255)).all():
        values = (values == 255).astype(np.uint8)
    return values


def _pixels(image: "Image", name: str, channels: int) -> NDArray[np.uint8]:
    """Decode an opened image as `image_pixels`, but return one channel for grayscale files."""
    _decode(image, name)
    if image.mode.startswith("I"):
        return _eight_bits(np.asarray(image))[:, :, None]
    if image.mode == "F":
        raise DataError(f"{name}: is an image of floating-point numbers; save it with 8 or 16 bits")
    # Pillow warns if a palette with transparency is converted to RGB or L directly.
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "RGB" if channels == 3 and image.mode not in ("1", "L", "LA") else "L"
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels if mode == "RGB" else pixels[:, :, None]


_PLAIN = {b"\x08\x00\x00\x00\x00": "L", b"\x08\x02\x00\x00\x00": "RGB"}
"""Modes by the last bytes of a plain PNG header: 8 bits, grayscale or color, default methods, not interlaced."""


def _plain_png(image: "Image", content: bytes, channels: int) -> NDArray[np.uint8] | None:
    """Decode a PNG file whose pixels all decoders read alike; return None for any other file."""
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
    decoded: NDArray[np.uint8] = np.asarray(pixels, np.uint8)
    return decoded.reshape(image.height, image.width, -1)


def _drop_equal_channels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the first of three channels if they are equal everywhere, otherwise all."""
    import cv2

    sampled = pixels[::16]  # every 16th line identifies most color images at a low cost
    if (sampled[:, :, 0] != sampled[:, :, 1]).any() or (sampled[:, :, 0] != sampled[:, :, 2]).any():
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
"""Tags of a TIFF file with the size of its tiles."""
_SPARE = 2**22
"""Number of pixels by which a tile may exceed its image; tiles of small images often do."""


def _refuse_large_tiles(image: "Image", name: str) -> None:
    """Refuse a TIFF file with tiles much larger than its image: they are decoded completely and can fill the memory."""
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    width, height = (tags.get(tag) for tag in (_TILE_WIDTH, _TILE_LENGTH)) if tags else (None, None)
    if width is None or height is None:
        return
    if not isinstance(width, int) or not isinstance(height, int):
        raise DataError(f"{name}: cannot be decoded: the size of its tiles is not a number")
    if width * height > image.width * image.height + _SPARE:
        raise DataError(
            f"{name}: has tiles of {width} x {height} pixels in an image of {image.width} x {image.height}; "
            "save it without tiles"
        )


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale 16 bits to 8 bits by the full range, unless all values fit in 8 bits: those were stored without scaling."""
    if values.max(initial=0) > 255:
        values = values // 257
    return values.clip(0, 255).astype(np.uint8)
