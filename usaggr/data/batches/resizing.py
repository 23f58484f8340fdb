"""Images and masks at another size: the one way in which the network's input is made from what is stored.

Aspect is not kept, as in the challenge's baseline.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def resize_image(image: NDArray[np.uint8], size: tuple[int, int], channels: int | None = None) -> NDArray[np.uint8]:
    """An image (h, w, C) at `size` (H, W): by area along the sides that shrink, linearly along those that grow.

    An image of one channel is repeated for `channels` (None: as many as it has), which costs less here than before.
    """
    import cv2

    height, width = size
    channels = channels or image.shape[2]
    smaller = (min(image.shape[1], width), min(image.shape[0], height))
    resized: NDArray[Any] = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    resized = resized.reshape(smaller[1], smaller[0], -1)
    if resized.shape[2] != channels:
        resized = np.repeat(resized, channels, axis=2)
    if smaller != (width, height):
        resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.reshape(height, width, channels).astype(np.uint8, copy=False)


def resize_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask (h, w) at `size` (H, W): each pixel has the class of the nearest one, by their centres."""
    import cv2

    # Not INTER_NEAREST, which goes by the pixels' corners and shifts the mask by up to half a pixel.
    resized = cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)
