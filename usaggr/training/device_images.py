"""Images and masks of a run that stay on its device as uint8, so that a batch on a GPU costs no copy."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from usaggr.data.batches.augment import on_device
from usaggr.data.batches.batches import CachedPixels, Pixels
from usaggr.data.batches.cache import ImageCache
from usaggr.data.samples import Sample

SHARE = 0.25
"""Of the memory that a GPU has free, which images may take by `auto`: the rest is for network and other runs."""

PIECE = 256
"""Images that are copied to the device at once: the host never holds all of them beside its cache."""


class ResidentPixels:
    """All images and masks of some samples on a device; batches are picked out there."""

    def __init__(self, cache: ImageCache, samples: Sequence[Sample], device: torch.device) -> None:
        self.device = device
        self.size = cache.size
        self._cache = cache
        masked = [sample for sample in samples if sample.mask_path is not None]
        self._image_rows, images = _distinct(cache.image_rows(samples), samples)
        self._mask_rows, masks = _distinct(cache.mask_rows(masked), masked)
        self._images = torch.empty((len(images), *cache.size, cache.channels), dtype=torch.uint8, device=device)
        self._masks = torch.empty((len(masks), *cache.size), dtype=torch.uint8, device=device)
        for i in range(0, len(images), PIECE):
            self._images[i : i + PIECE] = torch.from_numpy(cache.images_of(images[i : i + PIECE]))
        for i in range(0, len(masks), PIECE):
            self._masks[i : i + PIECE] = torch.from_numpy(cache.masks_of(masks[i : i + PIECE]))

    def images_of(self, samples: Sequence[Sample]) -> Tensor:
        places = self._places(self._image_rows, self._cache.image_rows(samples))
        return self._images[places].permute(0, 3, 1, 2)

    def masks_of(self, samples: Sequence[Sample]) -> Tensor:
        return self._masks[self._places(self._mask_rows, self._cache.mask_rows(samples))]

    def _places(self, rows: NDArray[np.intp], wanted: NDArray[np.intp]) -> Tensor:
        places = np.searchsorted(rows, wanted).clip(max=max(len(rows) - 1, 0))
        if not np.array_equal(rows[places], wanted):
            raise ValueError("a sample is asked for that was not put on the device")
        return on_device(torch.from_numpy(places), self.device)


def pixels_on(
    device: torch.device, cache: ImageCache, samples: Sequence[Sample], resident: bool | Literal["auto"]
) -> Pixels:
    """Where a run's batches take their pixels from.

    Args:
        device: of the network.
        cache: holds the samples.
        samples: all that are shown more than once.
        resident: whether they stay on the device; `auto`: on a GPU that has room for them.
    """
    if resident == "auto":
        resident = device.type == "cuda" and fits(bytes_of(cache, samples), torch.cuda.mem_get_info(device)[0])
    return ResidentPixels(cache, samples, device) if resident else CachedPixels(cache, device)


def fits(needed: int, free: int) -> bool:
    """Whether so many bytes are few enough to stay on a device with so many free."""
    return needed <= SHARE * free


def bytes_of(cache: ImageCache, samples: Sequence[Sample]) -> int:
    """What the samples' images and masks take, each counted once."""
    masked = [sample for sample in samples if sample.mask_path is not None]
    pixels = cache.size[0] * cache.size[1]
    images, masks = np.unique(cache.image_rows(samples)), np.unique(cache.mask_rows(masked))
    return pixels * (cache.channels * len(images) + len(masks))


def _distinct(rows: NDArray[np.intp], samples: Sequence[Sample]) -> tuple[NDArray[np.intp], list[Sample]]:
    """The rows in order, each once, and a sample for each."""
    found, first = np.unique(rows, return_index=True)
    return found, [samples[i] for i in first]
