"""Batches for the network: from draws of the streams, or samples of a fold, to tensors.

Images come from the uint8 cache, so a batch costs a copy and one resampling; there are no loader processes. Pixels are
sent to a GPU as uint8 and augmented there, while it still works on the batch before; what is drawn is drawn here.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from usaggr.config.study import AugmentConfig
from usaggr.data.batches.augment import (
    IDENTITY,
    Transform,
    augment_images,
    augment_masks,
    draw_transform,
    fitting_transform,
    on_device,
    sampling_grid,
)
from usaggr.data.batches.cache import ImageCache
from usaggr.data.batches.streams import Draw
from usaggr.data.samples import Sample

MEAN = (0.485, 0.456, 0.406)
"""Of ImageNet's images in [0, 1], by channel: what pretrained encoders expect."""
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Batch:
    """Samples of one or several tasks, side by side."""

    images: Tensor
    """(N, 3, H, W) float32, normalised."""
    samples: tuple[Sample, ...]
    """N samples, in the images' order."""
    rows: dict[str, Tensor]
    """Task id: places of its samples in the batch, (n,) int64."""
    targets: dict[str, Tensor]
    """Task id: classes (n,) int64, masks (n, H, W) int64, boxes (n, 4) or points (n, P, 2) float32 in [0, 1]."""

    def to(self, device: torch.device) -> "Batch":
        """The same with its tensors on a device."""
        return Batch(
            self.images.to(device, non_blocking=True),
            self.samples,
            {task_id: rows.to(device) for task_id, rows in self.rows.items()},
            {task_id: targets.to(device, non_blocking=True) for task_id, targets in self.targets.items()},
        )


class Pixels(Protocol):
    """Images and masks of samples as tensors on a device: what batches are made of."""

    @property
    def device(self) -> torch.device: ...
    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        ...

    def images_of(self, samples: Sequence[Sample]) -> Tensor:
        """(N, C, H, W) uint8, C is 1 or 3."""
        ...

    def masks_of(self, samples: Sequence[Sample]) -> Tensor:
        """Of segmentation samples: (n, H, W) uint8, class indices."""
        ...


class CachedPixels:
    """Read from the cache's files batch by batch, and sent to the device."""

    def __init__(self, cache: ImageCache, device: torch.device | None = None) -> None:
        self._cache = cache
        self.device = device or torch.device("cpu")

    @property
    def size(self) -> tuple[int, int]:
        return self._cache.size

    def images_of(self, samples: Sequence[Sample]) -> Tensor:
        return on_device(torch.from_numpy(self._cache.images_of(samples)), self.device).permute(0, 3, 1, 2)

    def masks_of(self, samples: Sequence[Sample]) -> Tensor:
        return on_device(torch.from_numpy(self._cache.masks_of(samples)), self.device)


def relative_box(sample: Sample) -> np.ndarray:
    """A sample's box (4,): x_min y_min x_max y_max as fractions of the original image's sides."""
    return np.asarray(sample.box, dtype=float) / [sample.width, sample.height, sample.width, sample.height]


def relative_points(sample: Sample) -> np.ndarray:
    """A sample's landmarks (P, 2): x, y as fractions of the original image's sides."""
    return np.asarray(sample.points, dtype=float) / [sample.width, sample.height]


def make_batch(samples: Sequence[Sample], pixels: Pixels, transforms: Sequence[Transform] | None = None) -> Batch:
    """Tensors of samples on the pixels' device, augmented where transforms (one a sample) are given."""
    images = pixels.images_of(samples).float().div_(255)
    chosen = list(transforms) if transforms is not None else [IDENTITY] * len(samples)
    boxes = [relative_box(s) if s.box is not None else None for s in samples]
    points = [relative_points(s) if s.points is not None else None for s in samples]
    grid = None
    if transforms is not None:
        chosen = [fitting_transform(t, p, b) for t, p, b in zip(chosen, points, boxes, strict=True)]
        grid = sampling_grid(chosen, pixels.size, pixels.device)
        images = augment_images(images, chosen, grid)
    places_of: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        places_of.setdefault(sample.task_id, []).append(i)
    rows = {task_id: on_device(torch.tensor(places), pixels.device) for task_id, places in places_of.items()}
    targets: dict[str, Tensor] = {}
    for task_id, places in places_of.items():
        first = samples[places[0]]
        if first.mask_path is not None:
            masks = pixels.masks_of([samples[i] for i in places])
            targets[task_id] = (augment_masks(masks, grid[rows[task_id]]) if grid is not None else masks).long()
        elif first.label is not None:
            targets[task_id] = torch.tensor([samples[i].label for i in places], dtype=torch.int64)
        elif first.box is not None:
            moved = [np.clip(chosen[i].box(box), 0, 1) for i in places if (box := boxes[i]) is not None]
            targets[task_id] = torch.from_numpy(np.stack(moved).astype(np.float32))
        else:
            marks = [chosen[i].points(p) for i in places if (p := points[i]) is not None]
            targets[task_id] = torch.from_numpy(np.stack(marks).astype(np.float32))
    targets = {task_id: on_device(target, pixels.device) for task_id, target in targets.items()}
    return Batch(normalise(images), tuple(samples), rows, targets)


class TrainingBatches:
    """One part of a run's batches, from its merged streams; an iterable that Lightning's Trainer takes."""

    def __init__(
        self,
        batches: Sequence[Sequence[Draw]],
        samples: dict[tuple[str, str], Sample],
        cache: ImageCache,
        augment: AugmentConfig,
    ) -> None:
        self.draws = batches
        """What each batch shows."""
        self.cache = cache
        self._samples = samples
        self._pixels: Pixels = CachedPixels(cache)
        self._augment = augment

    def of(self, pixels: Pixels) -> "TrainingBatches":
        """The same batches, of pixels from elsewhere and on their device."""
        other = copy.copy(self)
        other._pixels = pixels
        return other

    @property
    def samples(self) -> list[Sample]:
        """Those that are shown."""
        return [self._samples[key] for key in {(draw.task_id, draw.sample_id): None for d in self.draws for draw in d}]

    def __len__(self) -> int:
        return len(self.draws)

    def __iter__(self) -> Iterator[Batch]:
        for draws in self.draws:
            samples = [self._samples[draw.task_id, draw.sample_id] for draw in draws]
            size = self._pixels.size
            transforms = [draw_transform(self._augment, draw.augmentation, size) for draw in draws]
            yield make_batch(samples, self._pixels, transforms)


class FoldBatches:
    """All samples of a fold, in order, as they are."""

    def __init__(self, samples: Sequence[Sample], cache: ImageCache, batch_size: int) -> None:
        self.samples = samples
        self._pixels: Pixels = CachedPixels(cache)
        self._batch_size = batch_size

    def of(self, pixels: Pixels) -> "FoldBatches":
        """The same batches, of pixels from elsewhere and on their device."""
        other = copy.copy(self)
        other._pixels = pixels
        return other

    def __len__(self) -> int:
        return -(-len(self.samples) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for i in range(0, len(self.samples), self._batch_size):
            yield make_batch(self.samples[i : i + self._batch_size], self._pixels)


def normalise(images: Tensor) -> Tensor:
    """Images (N, 1 or 3, H, W) in [0, 1] to (N, 3, H, W), normalised by channel."""
    mean, std = on_device(torch.tensor([MEAN, STD]), images.device)[:, None, :, None, None]
    normalised: Tensor = (images - mean) / std
    return normalised
