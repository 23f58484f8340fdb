"""Perceptual hashes: two pictures that look alike have hashes that differ in few bits, however they were stored.

A hash is the signs of the low frequencies of a small copy of the picture (Zauner 2010, "Implementation and benchmarking
of perceptual image hash functions", chapter 3.2.1). Each image has two: of the whole frame, which stands changes of
contrast and marks, and of the frame without its dark border, which stands shifts.
"""

import numpy as np
from numpy.typing import NDArray

SIDE = 48
"""Pixels of the small copy."""
FREQUENCIES = 12
"""Kept a direction."""
BITS = FREQUENCIES**2 - 1
"""Of one hash: the mean brightness says nothing."""
HASH_BYTES = 2 * (-(-BITS // 8))
"""Of both hashes, packed."""

_DARK = 8
"""Grey values over the darkest that a border may have, at least."""
_LIT = 0.05
"""Share of pixels of a row or column within the picture that are not dark."""


def perceptual_hash(grey: NDArray[np.uint8]) -> bytes:
    """Both hashes of an image: (H, W) uint8 to HASH_BYTES bytes."""
    return b"".join(np.packbits(_signs(frame)).tobytes() for frame in (grey, without_border(grey)))


def hash_signs(hashes: list[bytes]) -> NDArray[np.float32]:
    """Unpack hashes: (N, 2, BITS) float32 of -1 and 1, whose products count equal less unequal bits."""
    packed = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), 2, -1)
    return np.unpackbits(packed, axis=2, count=BITS).astype(np.float32) * 2 - 1


def without_border(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture without the dark rows and columns around it; whole where nothing would be left."""
    few = grey[::4, ::4]
    darkest = int(np.percentile(few, 1))
    lit = grey > darkest + max(_DARK, int(0.06 * (int(few.max()) - darkest)))
    rows, columns = np.flatnonzero(lit.mean(1) > _LIT), np.flatnonzero(lit.mean(0) > _LIT)
    if len(rows) < FREQUENCIES or len(columns) < FREQUENCIES:
        return grey
    return grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _signs(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    import cv2

    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = np.asarray(cv2.dct(small))[:FREQUENCIES, :FREQUENCIES].ravel()[1:]
    signs: NDArray[np.bool_] = low > np.median(low)
    return signs
