"""Decoding of image and mask files to arrays, for validation, training and prediction.

Pixels are returned as stored. An EXIF orientation is not applied, because labels are coordinates of the stored image.
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
    return decode_pixels(open_image(read_bytes(path), str(path), max_pixels), str(path), channels)


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
    return decode_mask_values(open_image(read_bytes(path), str(path), max_pixels), str(path), foreground_255)


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


def decode_pixels(image: "Image", name: str, channels: int) -> NDArray[np.uint8]:
    """Decode an opened image to (H, W, channels) uint8, as `read_image`.

    Args:
        image: An image of `open_image`.
        name: Name of the file in messages.
        channels: 1 or 3.

    Raises:
        DataError: The file is truncated or corrupt, or has floating-point values.
    """
    pixels = _decode_distinct(image, name, channels)
    return pixels if pixels.shape[2] == channels else np.repeat(pixels, channels, axis=2)


def decode_distinct_channels(content: bytes, name: str, channels: int, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an image that validation has already decoded, and keep one channel if all channels are equal.

    The pixels are those of `read_image`. Plain PNG files are decoded by OpenCV, which gives the same pixels faster.
    OpenCV does not report every truncated file, so this function is not for files that were not validated.

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
    pixels = _decode_plain_png(image, content, channels)
    if pixels is None:
        pixels = _decode_distinct(image, name, channels)
    return _drop_equal_channels(pixels) if pixels.shape[2] == 3 else pixels


def decode_mask_values(image: "Image", name: str, foreground_255: bool) -> NDArray[Any]:
    """Decode an opened mask to (H, W) uint8 or uint16, as `read_mask`.

    Args:
        image: A mask of `open_image`.
        name: Name of the file in messages.
        foreground_255: True to read 255 as 1 if the mask has no other values than 0 and 255.

    Raises:
        DataError: The file is truncated or corrupt, or is a color image.
    """
    _load(image, name)
    stored = np.asarray(image)
    if image.mode == "F":
        raise DataError(f"{name}: is a mask of floating-point numbers; its values must be class indices")
    if image.mode in ("LA", "La", "PA"):  # gray values or palette indices with an alpha channel
        stored = stored[:, :, 0]
    elif stored.ndim == 3:
        if image.mode not in ("RGB", "RGBA") or (stored[:, :, :1] != stored[:, :, 1:3]).any():
            raise DataError(f"{name}: is a color mask ({image.mode}); its values must be class indices")
        stored = stored[:, :, 0]
    if image.mode.startswith("I") and stored.size and (stored.min() < 0 or stored.max() > np.iinfo(np.uint16).max):
        raise DataError(
            f"{name}: has mask values from {stored.min()} to {stored.max()}; class indices must fit in 16 bits"
        )
    # Pillow's modes I and I;16 have more than 8 bits.
    values: NDArray[Any] = stored.astype(np.uint16 if image.mode.startswith("I") else np.uint8)
    if foreground_255 and values.max(initial=0) == 255 and np.isin(values, (0, 255)).all():
        values = (values == 255).astype(np.uint8)
    return values


def _decode_distinct(image: "Image", name: str, channels: int) -> NDArray[np.uint8]:
    """Decode an opened image like `decode_pixels`, but with a single channel for grayscale files."""
    _load(image, name)
    if image.mode.startswith("I"):
        return _scale_to_8_bits(np.asarray(image))[:, :, None]
    if image.mode == "F":
        raise DataError(f"{name}: is an image of floating-point numbers; save it with 8 or 16 bits")
    # Pillow warns if a palette with transparency is converted to RGB or L directly.
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "RGB" if channels == 3 and image.mode not in ("1", "L", "LA") else "L"
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels if mode == "RGB" else pixels[:, :, None]


_PLAIN_HEADERS = {b"\x08\x00\x00\x00\x00": "L", b"\x08\x02\x00\x00\x00": "RGB"}
"""Pillow's mode by the last five bytes of the header chunk IHDR of a plain PNG file.

The bytes are bit depth (8), color type (0 grayscale, 2 RGB), compression, filter and interlace method (all 0)."""


def _decode_plain_png(image: "Image", content: bytes, channels: int) -> NDArray[np.uint8] | None:
    """Decode a PNG file of a kind that OpenCV and Pillow decode to the same pixels; return None for other files."""
    # The chunk IHDR is always first: its name is in bytes 12 to 15, its last five bytes are 24 to 28.
    mode = _PLAIN_HEADERS.get(content[24:29]) if image.format == "PNG" and content[12:16] == b"IHDR" else None
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

    sampled = pixels[::16]  # most color images are recognized by every 16th line, which saves time
    if (sampled[:, :, 0] != sampled[:, :, 1]).any() or (sampled[:, :, 0] != sampled[:, :, 2]).any():
        return pixels
    first, second, third = (np.asarray(channel, np.uint8) for channel in cv2.split(pixels))
    return first[:, :, None] if (first == second).all() and (first == third).all() else pixels


def _load(image: "Image", name: str) -> None:
    """Decode the pixels of an opened image, which Pillow keeps in it."""
    _refuse_large_tiles(image, name)
    try:
        image.load()
    except Exception as error:  # decoders raise many kinds of exception on broken files
        raise DataError(f"{name}: cannot be decoded: {error}") from error


_TILE_WIDTH, _TILE_LENGTH = 322, 323
"""TIFF tags of the width and height of tiles."""
_MAX_TILE_EXCESS = 2**22
"""Number of pixels by which a tile may be larger than its image, as tiles of small images often are."""


def _refuse_large_tiles(image: "Image", name: str) -> None:
    """Refuse a TIFF file whose tiles are much larger than the image; decoding complete tiles could fill the memory."""
    tags = getattr(image, "tag_v2", None) if image.format == "TIFF" else None
    width, height = (tags.get(tag) for tag in (_TILE_WIDTH, _TILE_LENGTH)) if tags else (None, None)
    if width is None or height is None:
        return
    if not isinstance(width, int) or not isinstance(height, int):
        raise DataError(f"{name}: cannot be decoded: the size of its tiles is not a number")
    if width * height > image.width * image.height + _MAX_TILE_EXCESS:
        raise DataError(
            f"{name}: has tiles of {width} x {height} pixels in an image of {image.width} x {image.height}; "
            "save it without tiles"
        )


def _scale_to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale values of 16 bits to 8 bits; values that all fit in 8 bits were stored without scaling and stay."""
    if values.max(initial=0) > 255:
        values = values // 257  # 65535 / 255: the full range becomes the full range
    return values.clip(0, 255).astype(np.uint8)
