"""Perceptual hashes: images that look the same have hashes that differ in few bits, whatever their file format.

A hash has one bit for each low frequency of a small copy of the image. Each image has two hashes. The hash of the
complete frame is robust to changes of contrast and to markers. The hash of the frame without its dark border is robust
to shifts. Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", chapter 3.2.1.
"""

import numpy as np
from numpy.typing import NDArray

SIDE = 48
"""Height and width of the small copy, in pixels."""
FREQUENCIES = 12
"""Number of frequencies per direction that a hash holds."""
BITS = FREQUENCIES**2 - 1
"""Number of bits of one hash; the zero frequency is left out, because it is the mean brightness."""
HASH_BYTES = 2 * (-(-BITS // 8))
"""Number of bytes of both hashes of an image, packed."""

_MIN_DARK_RANGE = 8
_DARK_SHARE = 0.06
"""A pixel is dark if its gray value is at most this share of the image's range above the darkest value.

In an image with a small range, `_MIN_DARK_RANGE` gray values above the darkest one count as dark."""
_MAX_LIT_SHARE = 0.05
"""Largest share of pixels that are not dark in a row or column of the border."""


def compute_hashes(gray: NDArray[np.uint8]) -> bytes:
    """Return both hashes of a grayscale image (H, W), HASH_BYTES bytes in total."""
    return b"".join(np.packbits(_compare_low_frequencies(frame)).tobytes() for frame in (gray, remove_border(gray)))


def unpack_signs(hashes: list[bytes]) -> NDArray[np.float32]:
    """Unpack hashes to an array (N, 2, BITS) of -1 and 1; a dot product then is equal bits minus different bits."""
    packed = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), 2, -1)
    return np.unpackbits(packed, axis=2, count=BITS).astype(np.float32) * 2 - 1


def remove_border(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image without the dark rows and columns around it; an almost dark image is returned unchanged."""
    sampled = gray[::4, ::4]  # every fourth pixel suffices for the range of gray values, and is faster
    darkest = int(np.percentile(sampled, 1))  # not the minimum, which a single pixel can set
    lit = gray > darkest + max(_MIN_DARK_RANGE, int(_DARK_SHARE * (int(sampled.max()) - darkest)))
    lit_rows = np.flatnonzero(lit.mean(axis=1) > _MAX_LIT_SHARE)
    lit_columns = np.flatnonzero(lit.mean(axis=0) > _MAX_LIT_SHARE)
    if len(lit_rows) < FREQUENCIES or len(lit_columns) < FREQUENCIES:
        return gray
    return gray[lit_rows[0] : lit_rows[-1] + 1, lit_columns[0] : lit_columns[-1] + 1]


def _compare_low_frequencies(gray: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return whether the coefficient of each low frequency exceeds the median coefficient, (BITS,)."""
    import cv2

    small = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = np.asarray(cv2.dct(small))[:FREQUENCIES, :FREQUENCIES].ravel()[1:]
    signs: NDArray[np.bool_] = low > np.median(low)
    return signs
