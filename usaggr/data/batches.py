"""Batches for the network: from draws of the streams, or samples of a fold, to tensors.

Images come from the uint8 cache, so a batch costs a copy and one resampling; there are no loader processes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from usaggr.config import AugmentConfig
from usaggr.data.augment import (
    IDENTITY,
    Transform,
    augment_images,
    augment_masks,
    draw_transform,
    fitting_transform,
    sampling_grid,
)
from usaggr.data.cache import ImageCache
from usaggr.data.samples import Sample
from usaggr.data.streams import Draw

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


def relative_box(sample: Sample) -> np.ndarray:
    """A sample's box (4,): x_min y_min x_max y_max as fractions of the original image's sides."""
    return np.asarray(sample.box, dtype=float) / [sample.width, sample.height, sample.width, sample.height]


def relative_points(sample: Sample) -> np.ndarray:
    """A sample's landmarks (P, 2): x, y as fractions of the original image's sides."""
    return np.asarray(sample.points, dtype=float) / [sample.width, sample.height]


def make_batch(samples: Sequence[Sample], cache: ImageCache, transforms: Sequence[Transform] | None = None) -> Batch:
    """Tensors of samples, augmented where transforms (one a sample) are given."""
    images = torch.from_numpy(cache.images_of(samples)).permute(0, 3, 1, 2).float().div_(255)
    size = (images.shape[2], images.shape[3])
    chosen = list(transforms) if transforms is not None else [IDENTITY] * len(samples)
    boxes = [relative_box(s) if s.box is not None else None for s in samples]
    points = [relative_points(s) if s.points is not None else None for s in samples]
    grid = None
    if transforms is not None:
        chosen = [fitting_transform(t, p, b) for t, p, b in zip(chosen, points, boxes, strict=True)]
        grid = sampling_grid(chosen, size)
        images = augment_images(images, chosen, grid)
    rows: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        rows.setdefault(sample.task_id, []).append(i)
    targets: dict[str, Tensor] = {}
    for task_id, places in rows.items():
        first = samples[places[0]]
        if first.mask_path is not None:
            masks = torch.from_numpy(cache.masks_of([samples[i] for i in places]))
            targets[task_id] = (augment_masks(masks, grid[places]) if grid is not None else masks).long()
        elif first.label is not None:
            targets[task_id] = torch.tensor([samples[i].label for i in places], dtype=torch.int64)
        elif first.box is not None:
            moved = [np.clip(chosen[i].box(box), 0, 1) for i in places if (box := boxes[i]) is not None]
            targets[task_id] = torch.from_numpy(np.stack(moved).astype(np.float32))
        else:
            marks = [chosen[i].points(p) for i in places if (p := points[i]) is not None]
            targets[task_id] = torch.from_numpy(np.stack(marks).astype(np.float32))
    places_of = {task_id: torch.tensor(places) for task_id, places in rows.items()}
    return Batch(_normalise(images), tuple(samples), places_of, targets)


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
        self._samples = samples
        self._cache = cache
        self._augment = augment
        self._size = cache.size

    def __len__(self) -> int:
        return len(self.draws)

    def __iter__(self) -> Iterator[Batch]:
        for draws in self.draws:
            samples = [self._samples[draw.task_id, draw.sample_id] for draw in draws]
            yield make_batch(
                samples, self._cache, [draw_transform(self._augment, draw.augmentation, self._size) for draw in draws]
            )


class FoldBatches:
    """All samples of a fold, in order, as they are."""

    def __init__(self, samples: Sequence[Sample], cache: ImageCache, batch_size: int) -> None:
        self._samples = samples
        self._cache = cache
        self._batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self._samples) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for i in range(0, len(self._samples), self._batch_size):
            yield make_batch(self._samples[i : i + self._batch_size], self._cache)


def _normalise(images: Tensor) -> Tensor:
    """Images (N, 1 or 3, H, W) in [0, 1] to (N, 3, H, W), normalised by channel."""
    mean, std = (torch.tensor(values)[None, :, None, None] for values in (MEAN, STD))
    return (images - mean) / std
