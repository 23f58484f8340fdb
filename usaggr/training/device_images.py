"""Images and masks that stay on a run's device as uint8, so that a batch on a GPU needs no copy from the host."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from usaggr.data.batches.augment import copy_to_device
from usaggr.data.batches.batches import CachedPixels, PixelSource
from usaggr.data.batches.cache import ImageCache
from usaggr.data.samples import Sample

MEMORY_SHARE = 0.25
"""Largest share of a GPU's free memory that images may take with `auto`; the network and other runs need the rest."""

COPY_SIZE = 256
"""Number of images copied to the device at once, so that the host does not hold all of them beside its cache."""


class ResidentPixels:
    """All images and masks of some samples on a device, from which batches are selected without a copy.

    Args:
        cache: Cache that holds the samples.
        samples: Samples whose images and masks are put on the device, each image once.
        device: Device of the network.
    """

    def __init__(self, cache: ImageCache, samples: Sequence[Sample], device: torch.device) -> None:
        self.device = device
        self.size = cache.size
        self._cache = cache
        masked = [sample for sample in samples if sample.mask_path is not None]
        self._image_rows, images = _select_distinct(cache.find_image_rows(samples), samples)
        self._mask_rows, masks = _select_distinct(cache.find_mask_rows(masked), masked)
        self._images = torch.empty((len(images), *cache.size, cache.channels), dtype=torch.uint8, device=device)
        self._masks = torch.empty((len(masks), *cache.size), dtype=torch.uint8, device=device)
        for i in range(0, len(images), COPY_SIZE):
            self._images[i : i + COPY_SIZE] = torch.from_numpy(cache.load_images(images[i : i + COPY_SIZE]))
        for i in range(0, len(masks), COPY_SIZE):
            self._masks[i : i + COPY_SIZE] = torch.from_numpy(cache.load_masks(masks[i : i + COPY_SIZE]))

    def load_images(self, samples: Sequence[Sample]) -> Tensor:
        """Return the images of samples, (n, C, H, W) uint8."""
        indices = self._find_indices(self._image_rows, self._cache.find_image_rows(samples))
        return self._images[indices].permute(0, 3, 1, 2)

    def load_masks(self, samples: Sequence[Sample]) -> Tensor:
        """Return the masks of samples, (n, H, W) uint8."""
        return self._masks[self._find_indices(self._mask_rows, self._cache.find_mask_rows(samples))]

    def _find_indices(self, resident_rows: NDArray[np.intp], cache_rows: NDArray[np.intp]) -> Tensor:
        """Return the indices (n,) on the device of images or masks that are given as rows of the cache.

        Args:
            resident_rows: Sorted rows of the cache that are on the device.
            cache_rows: (n,) rows of the cache to look up.
        """
        indices = np.searchsorted(resident_rows, cache_rows).clip(max=max(len(resident_rows) - 1, 0))
        if not np.array_equal(resident_rows[indices], cache_rows):
            raise ValueError("a sample was requested that is not on the device")
        return copy_to_device(torch.from_numpy(indices), self.device)


def make_pixels(
    device: torch.device, cache: ImageCache, samples: Sequence[Sample], resident: bool | Literal["auto"]
) -> PixelSource:
    """Make the source from which a run's batches take their pixels.

    Args:
        device: Device of the network.
        cache: Cache that holds the samples.
        samples: All samples that are used more than once.
        resident: Keep the samples on the device; `auto`: only on a GPU with enough free memory.
    """
    if resident == "auto":
        resident = device.type == "cuda" and has_room(count_bytes(cache, samples), torch.cuda.mem_get_info(device)[0])
    return ResidentPixels(cache, samples, device) if resident else CachedPixels(cache, device)


def has_room(needed_bytes: int, free_bytes: int) -> bool:
    """Return True if images may stay on a device, which leaves most of its free memory to the network."""
    return needed_bytes <= MEMORY_SHARE * free_bytes


def count_bytes(cache: ImageCache, samples: Sequence[Sample]) -> int:
    """Return the bytes that the samples' images and masks take as uint8, each counted once."""
    masked = [sample for sample in samples if sample.mask_path is not None]
    pixels = cache.size[0] * cache.size[1]
    images, masks = np.unique(cache.find_image_rows(samples)), np.unique(cache.find_mask_rows(masked))
    return pixels * (cache.channels * len(images) + len(masks))


def _select_distinct(cache_rows: NDArray[np.intp], samples: Sequence[Sample]) -> tuple[NDArray[np.intp], list[Sample]]:
    """Return the distinct rows of the cache in ascending order, and one sample for each."""
    distinct, first = np.unique(cache_rows, return_index=True)
    return distinct, [samples[i] for i in first]
