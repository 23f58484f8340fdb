"""Batches of tensors for the network, from draws (training examples of the tasks' streams) or samples of a subset.

Images come from the uint8 cache. Making a batch takes a copy and, for training, one resampling of the images and of
each task's masks, so no loader processes are needed. Pixels are copied to a GPU as uint8 and augmented there. The CPU
only queues this work, so that it can prepare a batch while the GPU still computes the previous one. Random numbers are
drawn on the CPU, so that they do not depend on the device.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

import numpy as np
import torch
from torch import Tensor

from usaggr.config.study import AugmentConfig
from usaggr.data.batches.augment import (
    IDENTITY,
    Transform,
    augment_images,
    augment_masks,
    copy_to_device,
    draw_transform,
    make_sampling_grid,
    soften_until_inside,
)
from usaggr.data.batches.cache import ImageCache
from usaggr.data.batches.streams import Draw
from usaggr.data.samples import Sample

MEAN = (0.485, 0.456, 0.406)
"""Channel means of ImageNet's images in [0, 1], which pretrained encoders expect."""
STD = (0.229, 0.224, 0.225)
"""Channel standard deviations of ImageNet's images in [0, 1]."""


@dataclass(frozen=True)
class Batch:
    """Samples of one or several tasks."""

    images: Tensor
    """(N, 3, H, W) float32, normalized."""
    samples: tuple[Sample, ...]
    """N samples, in the images' order."""
    batch_indices: dict[str, Tensor]
    """Indices (n,) int64 of each task's samples in the batch, by task id."""
    targets: dict[str, Tensor]
    """Targets by task id: classes (n,), masks (n, H, W) int64; boxes (n, 4), points (n, P, 2) float32 in [0, 1]."""

    def to(self, device: torch.device) -> "Batch":
        """Return the batch with its tensors on a device."""
        return Batch(
            self.images.to(device, non_blocking=True),
            self.samples,
            {task_id: indices.to(device) for task_id, indices in self.batch_indices.items()},
            {task_id: targets.to(device, non_blocking=True) for task_id, targets in self.targets.items()},
        )


class PixelSource(Protocol):
    """Source of images and masks as tensors on a device; batches are made from it."""

    @property
    def device(self) -> torch.device: ...
    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    def load_images(self, samples: Sequence[Sample]) -> Tensor:
        """Return (N, C, H, W) uint8 images; C is 1 or 3."""
        ...

    def load_masks(self, samples: Sequence[Sample]) -> Tensor:
        """Return (n, H, W) uint8 masks with a class index per pixel; all samples must be segmentation samples."""
        ...


class CachedPixels:
    """Source that reads images and masks from the cache's files for each batch, and copies them to a device."""

    def __init__(self, cache: ImageCache, device: torch.device | None = None) -> None:
        self._cache = cache
        self.device = device or torch.device("cpu")

    @property
    def size(self) -> tuple[int, int]:
        return self._cache.size

    def load_images(self, samples: Sequence[Sample]) -> Tensor:
        return copy_to_device(torch.from_numpy(self._cache.load_images(samples)), self.device).permute(0, 3, 1, 2)

    def load_masks(self, samples: Sequence[Sample]) -> Tensor:
        return copy_to_device(torch.from_numpy(self._cache.load_masks(samples)), self.device)


def normalize_box(sample: Sample) -> np.ndarray:
    """Return a sample's box (4,), x_min y_min x_max y_max, as fractions of the original image's sides."""
    return np.asarray(sample.box, dtype=float) / [sample.width, sample.height, sample.width, sample.height]


def normalize_points(sample: Sample) -> np.ndarray:
    """Return a sample's landmarks (P, 2), x and y, as fractions of the original image's sides."""
    return np.asarray(sample.points, dtype=float) / [sample.width, sample.height]


def make_batch(samples: Sequence[Sample], pixels: PixelSource, transforms: Sequence[Transform] | None = None) -> Batch:
    """Make a batch of samples on the device of their pixels.

    Args:
        samples: samples of any tasks.
        pixels: source of their images and masks.
        transforms: one transform per sample. Default: no augmentation.
    """
    images = pixels.load_images(samples).float().div_(255)
    applied_transforms = list(transforms) if transforms is not None else [IDENTITY] * len(samples)
    boxes = [normalize_box(s) if s.box is not None else None for s in samples]
    points = [normalize_points(s) if s.points is not None else None for s in samples]
    grid = None
    if transforms is not None:
        # Softened where a landmark or the center of a box would leave the image.
        applied_transforms = [soften_until_inside(t, p, b) for t, p, b in zip(transforms, points, boxes, strict=True)]
        grid = make_sampling_grid(applied_transforms, pixels.size, pixels.device)
        images = augment_images(images, applied_transforms, grid)
    batch_indices: dict[str, Tensor] = {}
    targets: dict[str, Tensor] = {}
    for task_id, indices in _group_by_task(samples).items():
        batch_indices[task_id] = copy_to_device(torch.tensor(indices), pixels.device)
        kind = samples[indices[0]].label_kind  # all samples of a task have the same kind of label
        match kind:
            case "mask":
                masks = pixels.load_masks([samples[i] for i in indices])
                if grid is not None:
                    masks = augment_masks(masks, grid[batch_indices[task_id]])
                target = masks.long()
            case "class":
                target = torch.tensor([samples[i].label for i in indices], dtype=torch.int64)
            # All samples of the task have a box or landmarks; the filters are for the type checker.
            case "box":
                mapped = [applied_transforms[i].map_box(box) for i in indices if (box := boxes[i]) is not None]
                # Landmarks and centers of boxes stay inside the image, but sides of a box may leave it.
                target = torch.from_numpy(np.clip(np.stack(mapped), 0, 1).astype(np.float32))
            case "points":
                mapped = [applied_transforms[i].map_points(p) for i in indices if (p := points[i]) is not None]
                target = torch.from_numpy(np.stack(mapped).astype(np.float32))
            case _:
                assert_never(kind)
        targets[task_id] = copy_to_device(target, pixels.device)
    return Batch(normalize_images(images), tuple(samples), batch_indices, targets)


def _group_by_task(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Return the indices of the samples of each task."""
    indices: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        indices.setdefault(sample.task_id, []).append(i)
    return indices


class TrainingBatches:
    """Augmented training batches of one validation interval, an iterable that serves as Lightning's dataloader.

    A validation interval is the training between two validations.
    """

    def __init__(
        self,
        draws_by_batch: Sequence[Sequence[Draw]],
        samples: dict[tuple[str, str], Sample],
        cache: ImageCache,
        augment: AugmentConfig,
    ) -> None:
        """Prepare the batches of a validation interval; images are read only during iteration.

        Args:
            draws_by_batch: draws of each batch, cut from the run's merged streams.
            samples: samples by task id and sample id.
            cache: images and masks of the samples.
            augment: ranges of the augmentation parameters.
        """
        self.draws_by_batch = draws_by_batch
        """Draws of each batch. A plain attribute, because a resumed run removes finished batches from a copy."""
        self.cache = cache
        self._samples = samples
        self._pixels: PixelSource = CachedPixels(cache)
        self._augment = augment

    def with_pixels(self, pixels: PixelSource) -> "TrainingBatches":
        """Return the same batches, but made from another source of pixels, on its device."""
        other = copy.copy(self)
        other._pixels = pixels
        return other

    @property
    def samples(self) -> list[Sample]:
        """Distinct samples of the batches, in the order of their first draws."""
        keys = {(draw.task_id, draw.sample_id): None for draws in self.draws_by_batch for draw in draws}
        return [self._samples[key] for key in keys]

    def __len__(self) -> int:
        return len(self.draws_by_batch)

    def __iter__(self) -> Iterator[Batch]:
        size = self._pixels.size
        for draws in self.draws_by_batch:
            samples = [self._samples[draw.task_id, draw.sample_id] for draw in draws]
            transforms = [draw_transform(self._augment, draw.augmentation, size) for draw in draws]
            yield make_batch(samples, self._pixels, transforms)


class SubsetBatches:
    """Batches of all samples of a subset, in order, without augmentation."""

    def __init__(self, samples: Sequence[Sample], cache: ImageCache, batch_size: int) -> None:
        """Prepare the batches; images are read only during iteration.

        Args:
            samples: samples of the subset.
            cache: their images and masks.
            batch_size: number of samples in a batch; the last one may be smaller.
        """
        self.samples = samples
        self._pixels: PixelSource = CachedPixels(cache)
        self._batch_size = batch_size

    def with_pixels(self, pixels: PixelSource) -> "SubsetBatches":
        """Return the same batches, but made from another source of pixels, on its device."""
        other = copy.copy(self)
        other._pixels = pixels
        return other

    def __len__(self) -> int:
        return -(-len(self.samples) // self._batch_size)  # rounded up

    def __iter__(self) -> Iterator[Batch]:
        for i in range(0, len(self.samples), self._batch_size):
            yield make_batch(self.samples[i : i + self._batch_size], self._pixels)


def normalize_images(images: Tensor) -> Tensor:
    """Normalize images (N, 1 or 3, H, W) in [0, 1] by ImageNet's mean and standard deviation; return (N, 3, H, W)."""
    mean, std = copy_to_device(torch.tensor([MEAN, STD]), images.device)[:, None, :, None, None]
    # An image of one channel is broadcast to three.
    normalized: Tensor = (images - mean) / std
    return normalized
