"""Decoding of image files of more than 8 bits per channel, and scaling of their values to 8 bits."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usaggr.data.read.file_kinds import has_white_zero
from usaggr.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_16_BITS = 2**16 - 1


def get_file_content(image: "Image") -> bytes:
    """Return the bytes of a file that was opened from memory; call it before the pixels are loaded."""
    stream = getattr(image, "fp", None)
    return stream.getvalue() if isinstance(stream, io.BytesIO) else b""


def decode_high_bit_depth(image: "Image", content: bytes, name: str) -> NDArray[np.uint16]:
    """Return the stored values of an image of more than 8 bits: (H, W), or (H, W, 3 or 4) for RGB and RGBA.

    Args:
        image: The image; its pixels are loaded.
        content: Bytes of the file. Pillow keeps 8 of 16 bits of color images, so OpenCV decodes these.
        name: Name of the file in messages.

    Raises:
        DataError: A value is negative or needs more than 16 bits, the value 0 is white, or OpenCV cannot decode it.
    """
    # Pillow inverts such files only up to 8 bits, so black and white would be swapped.
    if has_white_zero(image):
        raise DataError(f"{name}: is a TIFF file of more than 8 bits in which 0 is white; save it with 0 as black")
    if image.mode.startswith("I"):
        stored = np.asarray(image)
        lowest, highest = (int(stored.min()), int(stored.max())) if stored.size else (0, 0)
        if lowest < 0 or highest > _MAX_16_BITS:
            raise DataError(
                f"{name}: has values from {lowest} to {highest}; allowed are 0 to {_MAX_16_BITS} (16 bits): shift or "
                "scale all files of the task by the same numbers"
            )
        return stored.astype(np.uint16)
    pixels = _decode_colors(content)
    if pixels is None or pixels.shape[:2] != (image.height, image.width) or image.mode == "CMYK":
        raise DataError(
            f"{name}: is a {image.format} file of 16 bits in {image.mode}; save it as a PNG, or with 8 bits"
        )
    return pixels


def find_maximum(values: NDArray[np.uint16]) -> int:
    """Return the largest gray value or color of `decode_high_bit_depth`; the alpha channel does not count."""
    return int((values[:, :, :3] if values.ndim == 3 else values).max(initial=0))


def scale_to_8_bits(values: NDArray[np.uint16], depth: int) -> NDArray[np.uint8]:
    """Scale values of a bit depth to 8 bits; larger values become white.

    Args:
        values: (H, W) gray values, or (H, W, C) colors.
        depth: 8, 10, 12 or 16. Values of 8 bits stay.
    """
    if depth == 16 and values.ndim == 2:
        # 65535 = 257 x 255, so this restores 8-bit values that were multiplied by 257. The other depths drop the
        # lowest bits, which restores 8-bit values that were shifted.
        return (values // 257).astype(np.uint8)
    highest = np.uint16(2**depth - 1)
    return (np.minimum(values, highest) >> (depth - 8)).astype(np.uint8)


def _decode_colors(content: bytes) -> NDArray[np.uint16] | None:
    """Return the colors of a file of 16 bits as RGB or RGBA; None if OpenCV decodes something else."""
    import cv2

    try:
        decoded: NDArray[Any] | None = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3 or decoded.shape[2] not in (3, 4):
        return None
    order = [2, 1, 0, 3][: decoded.shape[2]]  # OpenCV's order is blue, green, red
    colors: NDArray[np.uint16] = np.ascontiguousarray(decoded[:, :, order])
    return colors
