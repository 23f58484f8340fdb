"""Resizing of images and masks to the network's input size, for training and inference alike.

The aspect ratio is not kept, as in the challenge's baseline.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def resize_image(image: NDArray[np.uint8], size: tuple[int, int], channels: int | None = None) -> NDArray[np.uint8]:
    """Resize an image: by area along sides that shrink, linearly along sides that grow.

    Args:
        image: (h, w, C) image.
        size: height H and width W of the result in pixels.
        channels: number of channels of the result; an image of one channel is repeated. Default: C.

    Returns:
        (H, W, channels) image.
    """
    import cv2

    height, width = size
    channels = channels or image.shape[2]
    reduced_size = (min(image.shape[1], width), min(image.shape[0], height))
    # Two steps, because INTER_AREA averages only along sides that shrink: first these, then the sides that grow.
    resized: NDArray[Any] = cv2.resize(image, reduced_size, interpolation=cv2.INTER_AREA)
    resized = resized.reshape(reduced_size[1], reduced_size[0], -1)
    # Channels are repeated after the reduction, when there are fewer pixels.
    if resized.shape[2] != channels:
        resized = np.repeat(resized, channels, axis=2)
    if reduced_size != (width, height):
        resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.reshape(height, width, channels).astype(np.uint8, copy=False)


def resize_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a mask (h, w) to `size` (H, W): each pixel takes the class of the pixel with the nearest center."""
    import cv2

    # INTER_NEAREST would compare corners of pixels, and shift the mask by up to half a pixel.
    resized = cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)
