"""Decoding of image and mask files to arrays, for validation, training and prediction.

Files of several frames are refused. How bit depth, orientation and transparency are read is an `ImageReading`.
"""

import io
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usaggr.data.read import readers_version
from usaggr.data.read.file_kinds import FileKind, count_frames, find_kind, find_orientation, has_alpha, is_deep
from usaggr.data.read.high_bit_depth import decode_high_bit_depth, find_maximum, get_file_content, scale_to_8_bits
from usaggr.data.read.image_reading import FILE_READING, ImageReading
from usaggr.data.read.mask_values import MaskValues, extract_values, merge_equal_channels
from usaggr.data.read.pixel_sizes import format_pixels
from usaggr.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


def read_image(path: Path, channels: int, max_pixels: int, reading: ImageReading = FILE_READING) -> NDArray[np.uint8]:
    """Read the pixels of an image file, (H, W, channels) uint8.

    Args:
        path: The file.
        channels: 1 or 3. Grayscale images are repeated for 3; color images become luma (ITU-R 601) for 1.
        max_pixels: Largest number of pixels (`data.max_pixels`).
        reading: Bit depth, orientation and transparency; see `Sample.reading`.

    Raises:
        DataError: The file does not exist, is not an image, is truncated, has several frames, or has more than
            `max_pixels` pixels.
    """
    return decode_pixels(open_image(read_bytes(path), str(path), max_pixels), str(path), channels, reading)


def read_mask(path: Path, foreground_255: bool, max_pixels: int) -> NDArray[Any]:
    """Read the class index of each pixel of a mask file, (H, W) uint8, or uint16 for files of 16 bits.

    Palette files give their indices, or their gray values if the palette contradicts the indices (`mask_values`).
    Files of 1 bit give 0 and 1.

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


def open_image(content: bytes | IO[bytes], name: str, max_pixels: int | None) -> "Image":
    """Open an image: only its header is read.

    Args:
        content: Bytes of the file, or the open file.
        name: Name of the file in messages.
        max_pixels: Largest number of pixels; None for no limit.

    Raises:
        DataError: The content is not an image, or has more than `max_pixels` pixels.
    """
    from PIL import Image, UnidentifiedImageError

    # Pillow has a limit of its own, which would refuse images that the user's data.max_pixels allows.
    Image.MAX_IMAGE_PIXELS = None
    try:
        stream = io.BytesIO(content) if isinstance(content, bytes) else content
        image = Image.open(stream, formats=tuple(readers_version.FORMATS))
    except UnidentifiedImageError as error:
        problem = "is empty" if not content else f"is none of {', '.join(readers_version.FORMATS)}"
        raise DataError(f"{name}: cannot be read as an image: the file {problem}") from error
    except Exception as error:  # decoders raise many kinds of exception on broken files
        raise DataError(f"{name}: cannot be read as an image: {error}") from error
    if max_pixels is not None and image.width * image.height > max_pixels:
        size = format_pixels(image.height, image.width)
        raise DataError(f"{name}: has {size}, more than data.max_pixels={max_pixels}")
    return image


def decode_pixels(image: "Image", name: str, channels: int, reading: ImageReading = FILE_READING) -> NDArray[np.uint8]:
    """Decode an opened image to (H, W, channels) uint8, as `read_image`.

    Args:
        image: An image of `open_image`.
        name: Name of the file in messages.
        channels: 1 or 3.
        reading: Bit depth, orientation and transparency.

    Raises:
        DataError: The file is truncated or corrupt, has several frames, or has values that do not fit in 16 bits.
    """
    pixels = _decode_distinct(image, name, channels, reading)
    return pixels if pixels.shape[2] == channels else np.repeat(pixels, channels, axis=2)


def decode_distinct_channels(
    content: bytes, name: str, channels: int, max_pixels: int, reading: ImageReading = FILE_READING
) -> NDArray[np.uint8]:
    """Decode an image that validation has already decoded, and keep one channel if all channels are equal.

    The pixels are those of `read_image`. Plain PNG files are decoded by OpenCV, which gives the same pixels faster.
    OpenCV does not report every truncated file, so this function is not for files that were not validated.

    Args:
        content: Bytes of the file.
        name: Name of the file in messages.
        channels: 1 or 3.
        max_pixels: Largest number of pixels (`data.max_pixels`).
        reading: Bit depth, orientation and transparency.

    Returns:
        (H, W, 1) or (H, W, channels) uint8.

    Raises:
        DataError: The content is not an image, or has more than `max_pixels` pixels.
    """
    image = open_image(content, name, max_pixels)
    pixels = _decode_plain_png(image, content, channels) if reading.orientation == "ignore" else None
    if pixels is None:
        pixels = _decode_distinct(image, name, channels, reading)
    return _drop_equal_channels(pixels) if pixels.shape[2] == 3 else pixels


def decode_mask_values(image: "Image", name: str, foreground_255: bool) -> NDArray[Any]:
    """Decode an opened mask to (H, W) uint8 or uint16, as `read_mask`.

    Args:
        image: A mask of `open_image`.
        name: Name of the file in messages.
        foreground_255: True to read 255 as 1 if the mask has no other values than 0 and 255.

    Raises:
        DataError: The file is truncated or corrupt, is a color image, has several frames or an EXIF orientation, or its
            palette or alpha channel contradicts its values.
    """
    values = decode_mask(image, name).values
    if foreground_255 and values.max(initial=0) == 255 and np.isin(values, (0, 255)).all():
        values = (values == 255).astype(np.uint8)
    return values


def decode_mask(image: "Image", name: str) -> MaskValues:
    """Decode an opened mask to its class indices, with what its palette says; see `decode_mask_values`.

    Args:
        image: A mask of `open_image`.
        name: Name of the file in messages.
    """
    deep, content = is_deep(image), get_file_content(image)
    load_image(image, name)
    orientation = 1 if image.format == "TIFF" else find_orientation(image)
    if orientation != 1:
        raise DataError(
            f"{name}: is a mask that is marked as turned (EXIF orientation {orientation}); save it as a PNG whose "
            "pixels lie as those of its image"
        )
    if not deep:
        return extract_values(image, name)
    stored = decode_high_bit_depth(image, content, name)
    return MaskValues(
        stored if stored.ndim == 2 else merge_equal_channels(stored, ("RGB", "RGBA")[stored.shape[2] - 3], name)
    )


def examine_image(image: "Image", name: str) -> FileKind:
    """Decode an opened image completely, and return its kind, with the largest value of more than 8 bits.

    Args:
        image: An image of `open_image`.
        name: Name of the file in messages.

    Raises:
        DataError: As for `decode_pixels`.
    """
    kind, content = find_kind(image), get_file_content(image)
    if kind.bits > 8 and kind.mode != "F":
        load_image(image, name)
        stored = decode_high_bit_depth(image, content, name)
        hidden = stored.ndim == 3 and stored.shape[2] == 4 and _has_hidden_pixels(stored, 2**16 - 1)
        return replace(kind, maximum=find_maximum(stored), hidden=hidden, orientation=_get_orientation(image, kind))
    decode_pixels(image, name, 1)
    hidden = has_alpha(image) and _has_hidden_pixels(np.asarray(image.convert("RGBA")), 255)
    return replace(kind, hidden=hidden, orientation=_get_orientation(image, kind))


def _get_orientation(image: "Image", kind: FileKind) -> int:
    """Return the orientation of a loaded image; that of a TIFF file was read before, because Pillow has applied it."""
    return kind.orientation if image.format == "TIFF" else find_orientation(image)


def _has_hidden_pixels(pixels: NDArray[Any], opaque_value: int) -> bool:
    """Return whether transparent pixels (H, W, RGBA) have other values than black.

    Args:
        pixels: Colors and alpha channel. An alpha channel that is the same everywhere hides nothing.
        opaque_value: Largest value of the alpha channel.
    """
    alpha = pixels[:, :, 3]
    if (alpha == alpha.flat[0]).all():
        return False
    return bool((pixels[:, :, :3].max(axis=2)[alpha < opaque_value] > 0).any())


def _decode_distinct(image: "Image", name: str, channels: int, reading: ImageReading) -> NDArray[np.uint8]:
    """Decode an opened image like `decode_pixels`, but with a single channel for grayscale files."""
    from PIL import Image as Pillow

    deep, content = is_deep(image), get_file_content(image)
    load_image(image, name)
    # Pillow has turned a TIFF file when it was loaded.
    is_turned = reading.orientation == "apply" and image.format != "TIFF"
    orientation = find_orientation(image) if is_turned else 1
    if deep:
        stored = decode_high_bit_depth(image, content, name)
        depth = reading.choose_depth(find_maximum(stored))
        if stored.ndim == 2:
            return turn_pixels(scale_to_8_bits(stored, depth)[:, :, None], orientation)
        scaled = scale_to_8_bits(stored[:, :, :3], depth)
        alpha = (stored[:, :, 3:] >> 8).astype(np.uint8)
        image = Pillow.fromarray(np.concatenate([scaled, alpha], axis=2))
    if image.mode == "F":
        raise DataError(f"{name}: is an image of floating-point numbers; save it with 8 or 16 bits")
    try:
        pixels = _convert(image, channels, reading)
    except ValueError as error:  # Pillow cannot convert every mode
        raise DataError(f"{name}: has colors in {image.mode}, which cannot be converted; save it in RGB") from error
    return turn_pixels(pixels, orientation)


def _convert(image: "Image", channels: int, reading: ImageReading) -> NDArray[np.uint8]:
    """Return the pixels of a loaded image of 8 bits: (H, W, 3), or (H, W, 1) for grayscale files and `channels` 1."""
    from PIL import Image as Pillow

    is_gray = image.mode in ("1", "L", "LA")
    if image.mode == "LAB":
        image = image.convert("RGB")  # Pillow converts LAB to this mode only
    drawn = np.asarray(image.convert("RGBA")) if reading.transparency == "black" and has_alpha(image) else None
    if drawn is not None and _has_hidden_pixels(drawn, 255):
        drawn = drawn.astype(np.uint16)
        image = Pillow.fromarray(((drawn[:, :, :3] * drawn[:, :, 3:] + 127) // 255).astype(np.uint8))
    # Pillow warns if a palette with transparency is converted to RGB or L directly.
    elif image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "RGB" if channels == 3 and not is_gray else "L"
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels if mode == "RGB" else pixels[:, :, None]


def turn_pixels(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return pixels (H, W, C) as a viewer shows them, by the EXIF orientation 1 to 8."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # After the transposition, 5 is upright, 6 is mirrored left to right, 8 top to bottom, and 7 both.
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


_PLAIN_HEADERS = {b"\x08\x00\x00\x00\x00": "L", b"\x08\x02\x00\x00\x00": "RGB"}
"""Pillow's mode by the last five bytes of the header chunk IHDR of a plain PNG file.

The bytes are bit depth (8), color type (0 grayscale, 2 RGB), compression, filter and interlace method (all 0)."""


def _decode_plain_png(image: "Image", content: bytes, channels: int) -> NDArray[np.uint8] | None:
    """Decode a PNG file of a kind that OpenCV and Pillow decode to the same pixels; return None for other files."""
    # The chunk IHDR is always first: its name is in bytes 12 to 15, its last five bytes are 24 to 28.
    mode = _PLAIN_HEADERS.get(content[24:29]) if image.format == "PNG" and content[12:16] == b"IHDR" else None
    if mode is None or (mode == "RGB" and channels == 1) or getattr(image, "is_animated", False):
        return None
    if "transparency" in image.info:
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


def load_image(image: "Image", name: str) -> None:
    """Decode the pixels of an opened image, which Pillow keeps in it."""
    _refuse_large_tiles(image, name)
    frames = count_frames(image)
    if frames > 1:
        raise DataError(
            f"{name}: has {frames} frames or pages; save the one that the label belongs to as a file of its own"
        )
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
            f"{name}: has tiles of {format_pixels(height, width)} in an image of {image.height} x {image.width}; "
            "save it without tiles"
        )
