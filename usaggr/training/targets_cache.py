"""Truths of samples, with a cache of decoded masks, because a run is scored against the same masks several times."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.read.file_facts import read_unchanged
from usaggr.data.read.images import decode_mask_values, open_image
from usaggr.data.samples import Sample
from usaggr.results.predictions import Truth

MAX_BYTES = 128 * 2**20
"""Limit on the decoded masks of a process: about 2,000 of 512 x 512 pixels, if a quarter of each is foreground."""


@dataclass(frozen=True)
class _CroppedMask:
    """Mask without the background around its foreground."""

    shape: tuple[int, int]
    """Height and width of the full mask."""
    top: int
    left: int
    foreground: NDArray[Any]
    """Bounding box of the foreground, (h, w)."""

    def restore(self) -> NDArray[Any]:
        """Return the full mask as a new array (H, W)."""
        mask = np.zeros(self.shape, self.foreground.dtype)
        height, width = self.foreground.shape
        mask[self.top : self.top + height, self.left : self.left + width] = self.foreground
        return mask


_Key = tuple[Path, str, bool]
"""File, hash of its content, and `data.foreground_255`: True if 255 is read as 1."""


class TruthMasks:
    """Cache of decoded masks by file and content, which drops the least recently used.

    Args:
        max_bytes: Limit on the bytes of all cached masks.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._masks: OrderedDict[_Key, _CroppedMask] = OrderedDict()
        self.bytes = 0
        """Bytes of all cached masks."""

    def get_mask(self, sample: Sample, data: DataConfig) -> NDArray[Any] | None:
        """Return a sample's mask (H, W) with the values of its file (see `read_mask`), as a new array.

        It is None for a sample without a mask.

        Raises:
            DataError: The file cannot be read, or has changed since the data was split and hashed.
        """
        if sample.mask_path is None:
            return None
        path = sample.mask_path
        key = (path, sample.label_hash, data.foreground_255)
        if key in self._masks:
            self._masks.move_to_end(key)  # the order is that of last use
            return self._masks[key].restore()
        image = open_image(read_unchanged(path, sample.label_hash, data), str(path), data.max_pixels)
        mask = decode_mask_values(image, str(path), data.foreground_255)
        self._add(key, _crop(mask))
        return mask

    def _add(self, key: _Key, mask: _CroppedMask) -> None:
        """Add a mask, and drop the least recently used ones if all together are above the limit."""
        if mask.foreground.nbytes > self._max_bytes:
            return
        self._masks[key] = mask
        self.bytes += mask.foreground.nbytes
        while self.bytes > self._max_bytes:
            _, dropped = self._masks.popitem(last=False)
            self.bytes -= dropped.foreground.nbytes


def read_truth(sample: Sample, data: DataConfig) -> Truth:
    """Return a sample's label in pixels of the original image; its mask comes from the cache or from its file."""
    return Truth(
        task_id=sample.task_id,
        sample_id=sample.sample_id,
        height=sample.height,
        width=sample.width,
        label=sample.label,
        box=None if sample.box is None else np.asarray(sample.box, dtype=float),
        points=None if sample.points is None else np.asarray(sample.points, dtype=float),
        mask=_MASKS.get_mask(sample, data),
    )


_MASKS = TruthMasks(MAX_BYTES)


def _crop(mask: NDArray[Any]) -> _CroppedMask:
    """Return the part of a mask around its foreground."""
    left, top, width, height = cv2.boundingRect((mask != 0).view(np.uint8))
    # A copy: a view would keep the full mask in memory.
    foreground = mask[top : top + height, left : left + width].copy()
    return _CroppedMask((mask.shape[0], mask.shape[1]), top, left, foreground)
