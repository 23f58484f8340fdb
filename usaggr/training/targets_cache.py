"""Truths of samples; masks are kept once they are decoded, since a run compares with the same ones several times."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.read.file_facts import read_unchanged
from usaggr.data.read.images import mask_values, open_image
from usaggr.data.samples import Sample
from usaggr.results.predictions import Truth

MOST_BYTES = 128 * 2**20
"""Of decoded masks that a process keeps: some 2,000 of 512 x 512 pixels, a quarter of each foreground."""


@dataclass(frozen=True)
class _Cropped:
    """A mask without the background around its foreground."""

    shape: tuple[int, int]
    top: int
    left: int
    inside: NDArray[Any]

    def whole(self) -> NDArray[Any]:
        mask = np.zeros(self.shape, self.inside.dtype)
        height, width = self.inside.shape
        mask[self.top : self.top + height, self.left : self.left + width] = self.inside
        return mask


_Key = tuple[Path, str, bool]
"""File, hash of its content, and whether 255 is read as 1."""


class TruthMasks:
    """Decoded masks by file and content; of those that do not fit in `most_bytes`, the longest unused is dropped."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[_Key, _Cropped] = OrderedDict()
        self.bytes = 0
        """Of masks that are kept."""

    def mask(self, sample: Sample, data: DataConfig) -> NDArray[Any] | None:
        """A sample's mask (H, W) as its file has it (see `read_mask`), an array of the caller's own; None without one.

        Raises:
            DataError: the file cannot be read, or is not the one that was split and hashed.
        """
        if sample.mask_path is None:
            return None
        path = sample.mask_path
        key = (path, sample.label_hash, data.foreground_255)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key].whole()
        image = open_image(read_unchanged(path, sample.label_hash, data), str(path), data.max_pixels)
        mask = mask_values(image, str(path), data.foreground_255)
        self._keep(key, _cropped(mask))
        return mask

    def _keep(self, key: _Key, mask: _Cropped) -> None:
        if mask.inside.nbytes > self._most_bytes:
            return
        self._kept[key] = mask
        self.bytes += mask.inside.nbytes
        while self.bytes > self._most_bytes:
            _, dropped = self._kept.popitem(last=False)
            self.bytes -= dropped.inside.nbytes


def truth_of(sample: Sample, data: DataConfig) -> Truth:
    """A sample's label in pixels of the original image; its mask is read from its file, or has been."""
    return Truth(
        task_id=sample.task_id,
        sample_id=sample.sample_id,
        height=sample.height,
        width=sample.width,
        label=sample.label,
        box=None if sample.box is None else np.asarray(sample.box, dtype=float),
        points=None if sample.points is None else np.asarray(sample.points, dtype=float),
        mask=_MASKS.mask(sample, data),
    )


_MASKS = TruthMasks(MOST_BYTES)


def _cropped(mask: NDArray[Any]) -> _Cropped:
    left, top, width, height = cv2.boundingRect((mask != 0).view(np.uint8))
    return _Cropped((mask.shape[0], mask.shape[1]), top, left, mask[top : top + height, left : left + width].copy())
