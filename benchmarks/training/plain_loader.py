"""How a training script without a cache reads: files decoded, resized and augmented anew for each example.

As the challenge's baseline does it: a torch DataLoader, its worker processes or none, one task a batch. The transforms
are those of the study, written with OpenCV on uint8, which is as fast as they can be had on a CPU: a pipeline of a
library (albumentations) calls the same functions with more around them.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from benchmarks.training.training_step import TASKS
from usaggr.config.study import AugmentConfig, SyntheticConfig
from usaggr.data.batches.augment import draw_transform, fitting_transform
from usaggr.data.batches.batches import MEAN, STD, Batch, relative_box, relative_points
from usaggr.data.batches.resizing import resize_mask
from usaggr.data.samples import Sample
from usaggr.data.synthetic.image_plan import roster
from usaggr.data.synthetic.picture import Picture, take_picture

HEIGHTS = (500, 760)
"""Pixels; widths are 1.1 to 1.4 times as much."""
KINDS = ((".jpg", 3), (".png", 3), (".jpg", 1), (".png", 1))
"""Format and channels of the files, in turn."""
_LIST = "samples.pickle"
_MEAN = 255 * np.array(MEAN, np.float32)
_STD = 255 * np.array(STD, np.float32)
_OPTIONS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3]}


@dataclass(frozen=True)
class Example:
    """What the loader hands on of one sample."""

    image: NDArray[np.float32]
    """(3, H, W), normalised."""
    target: NDArray[np.generic]
    sample: Sample


def write_files(folder: Path, images_per_task: int) -> None:
    """Phantoms of benchmarks.training.training_step.TASKS as files of a clinic's size: 500 to some 1000 px a side."""
    cv2.setNumThreads(1)
    config = SyntheticConfig(
        tasks=[task.id for task in TASKS],
        samples_per_task=max(20, images_per_task),
        frames_per_subject=1,
        seed=0,
        samples_of={},
        related={},
        conflicting={},
    )
    found: dict[str, list[Sample]] = {task.id: [] for task in TASKS}
    for shot, uses in roster(config).items():
        wanted = [use for use in uses if len(found[use.task_id]) < images_per_task]
        if not wanted:
            continue
        picture = _enlarged(take_picture(shot, 0), len(found[wanted[0].task_id]))
        for use in wanted:
            found[use.task_id].append(_written(folder, use.task_id, len(found[use.task_id]), use.label, picture))
    (folder / _LIST).write_bytes(pickle.dumps(list(found.values())))


def read_list(folder: Path) -> list[list[Sample]]:
    """The samples that `write_files` wrote there, by task."""
    found: list[list[Sample]] = pickle.loads((folder / _LIST).read_bytes())
    return found


class Files(Dataset[Example]):
    """Samples, each read from its file when it is asked for."""

    def __init__(self, samples: Sequence[Sample], size: int, augment: AugmentConfig) -> None:
        self._samples = samples
        self._size = (size, size)
        self._augment = augment
        self._rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, i: int) -> Example:
        sample, size = self._samples[i], self._size
        image = cv2.resize(_read(sample.image_path, cv2.IMREAD_COLOR), size, interpolation=cv2.INTER_AREA)
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        points = relative_points(sample) if sample.points is not None else None
        box = relative_box(sample) if sample.box is not None else None
        change = fitting_transform(draw_transform(self._augment, int(self._rng.integers(2**31)), size), points, box)
        pixels = np.array(size, dtype=float)
        half = 0.5 * pixels
        # In pixels, about the image's centre.
        matrix = np.column_stack([change.matrix, half - change.matrix @ half + change.shift * pixels])
        image = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)
        grey = np.clip(np.linspace(0, 1, 256) * change.gain + change.offset, 0, 1) ** change.gamma
        image = cv2.LUT(image, np.rint(255 * grey).astype(np.uint8))
        normal = np.ascontiguousarray(((image.astype(np.float32) - _MEAN) / _STD).transpose(2, 0, 1))
        if sample.mask_path is not None:
            mask = cv2.resize(
                _read(sample.mask_path, cv2.IMREAD_UNCHANGED), size, interpolation=cv2.INTER_NEAREST_EXACT
            )
            return Example(normal, cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST).astype(np.int64), sample)
        if box is not None:
            return Example(normal, np.clip(change.box(box), 0, 1).astype(np.float32), sample)
        if points is not None:
            return Example(normal, change.points(points).astype(np.float32), sample)
        return Example(normal, np.array(sample.label, np.int64), sample)


class OneTaskABatch:
    """Indices of batches without end: one task each, evenly drawn (all of them in each round, in a drawn order)."""

    def __init__(self, counts: Sequence[int], batch_size: int) -> None:
        self._counts = counts
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng(0)
        starts = np.cumsum([0, *self._counts])
        while True:
            for task in rng.permutation(len(self._counts)):
                yield (starts[task] + rng.integers(self._counts[task], size=self._batch_size)).tolist()


def plain_loader(
    samples: Sequence[Sequence[Sample]], batch_size: int, size: int, augment: AugmentConfig, workers: int
) -> DataLoader[Example]:
    """Batches without end; `workers` processes read them, or this one (0)."""
    return DataLoader(
        Files([sample for of_task in samples for sample in of_task], size, augment),
        batch_sampler=OneTaskABatch([len(of_task) for of_task in samples], batch_size),
        num_workers=workers,
        collate_fn=_collated,
        worker_init_fn=_one_thread,
    )


def _read(path: Path, mode: int) -> NDArray[Any]:
    pixels = cv2.imread(str(path), mode)
    assert pixels is not None
    return pixels


def _collated(examples: Sequence[Example]) -> Batch:
    task = examples[0].sample.task_id
    images = torch.from_numpy(np.stack([example.image for example in examples]))
    targets = torch.from_numpy(np.stack([example.target for example in examples]))
    return Batch(images, tuple(e.sample for e in examples), {task: torch.arange(len(examples))}, {task: targets})


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _enlarged(picture: Picture, i: int) -> Picture:
    """At a clinic's size: enlarged smoothly, so that speckles are as large as real ones, with the noise of a screen."""
    height = HEIGHTS[0] + (37 * i) % (HEIGHTS[1] - HEIGHTS[0])
    factor = height / picture.image.shape[0]
    size = (round(picture.image.shape[1] * factor), height)
    image = cv2.resize(picture.image, size, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(i).normal(0, 1.5, image.shape)
    grey = np.clip(np.rint(image + noise * (image > 0)), 0, 255).astype(np.uint8)
    mask = None if picture.mask is None else resize_mask(picture.mask, (size[1], size[0]))
    return Picture(grey, mask, tuple((x * factor, y * factor) for x, y in picture.points))


def _written(folder: Path, task_id: str, i: int, label: int, picture: Picture) -> Sample:
    """Write a sample's files."""
    task = next(task for task in TASKS if task.id == task_id)
    suffix, channels = KINDS[i % len(KINDS)]
    image = picture.image if channels == 1 else cv2.cvtColor(picture.image, cv2.COLOR_GRAY2BGR)
    path = folder / f"{task_id}_{i}{suffix}"
    cv2.imwrite(str(path), image, _OPTIONS[suffix])
    height, width = picture.image.shape
    sample = Sample(task_id, path.name, path, str(i), "", "", height, width, "", i)
    match task.type:
        case "segmentation":
            assert picture.mask is not None
            mask_path = folder / f"{task_id}_{i}_mask.png"
            cv2.imwrite(str(mask_path), picture.mask, _OPTIONS[".png"])
            return replace(sample, mask_path=mask_path)
        case "classification":
            return replace(sample, label=label)
        case "detection":
            return replace(sample, box=picture.box)
        case "regression":
            return replace(sample, points=picture.points)


Reader = Callable[[], Batch]
"""Gives the next batch."""


def reader(loader: DataLoader[Example]) -> Reader:
    """The loader's batches, one after another."""
    batches = iter(loader)
    return lambda: next(batches)
