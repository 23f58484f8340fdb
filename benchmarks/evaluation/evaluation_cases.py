"""Inputs of the evaluation benchmark: ellipses as labels, and outputs of a network that finds them roughly."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from usaggr.data.samples import Sample
from usaggr.tasks import Task

OUTPUT_SIZE = 128
"""Height and width of the network's masks, in pixels."""


@dataclass(frozen=True)
class Case:
    """Samples of one task with a network's outputs for them."""

    task: Task
    samples: tuple[Sample, ...]
    outputs: Tensor


def make_case(folder: Path, task: Task, number: int, size: int) -> Case:
    """Make samples of square images with sides of `size` pixels, and write their masks to files of the folder."""
    rng = np.random.default_rng(0)
    outputs: NDArray[np.floating]
    match task.type:
        case "segmentation":
            drawn = [draw_ellipses(rng, task.num_classes) for _ in range(number)]
            masks = [rasterize(ellipses, size) for ellipses in drawn]
            samples = [_sample(folder, task, i, size, mask) for i, mask in enumerate(masks)]
            outputs = np.stack([make_logits(perturb_ellipses(rng, ellipses), task.num_classes) for ellipses in drawn])
        case "classification":
            labels = np.arange(number) % task.num_classes
            samples = [_sample(folder, task, i, size, label=int(label)) for i, label in enumerate(labels)]
            outputs = rng.normal(size=(number, task.num_classes)) + np.eye(task.num_classes)[labels]
        case "detection":
            box = (0.2 * size, 0.2 * size, 0.7 * size, 0.6 * size)
            samples = [_sample(folder, task, i, size, box=box) for i in range(number)]
            outputs = np.array(box) / size + rng.normal(scale=0.02, size=(number, 4))
        case "regression":
            points = tuple((0.3 * size, 0.1 * size * i) for i in range(task.num_classes))
            samples = [_sample(folder, task, i, size, points=points) for i in range(number)]
            outputs = np.array(points) / size + rng.normal(scale=0.02, size=(number, task.num_classes, 2))
    return Case(task, tuple(samples), torch.from_numpy(outputs.astype(np.float32)))


def draw_ellipses(rng: np.random.Generator, num_classes: int) -> NDArray[np.float64]:
    """Draw one ellipse per foreground class, (K - 1, 5): center, half axes, angle; fractions of image and turn."""
    lows, highs = [0.3, 0.3, 0.08, 0.08, 0], [0.7, 0.7, 0.3, 0.2, 0.5]
    return rng.uniform(lows, highs, (num_classes - 1, 5))


def perturb_ellipses(rng: np.random.Generator, ellipses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ellipses as a network might find them, with an error of 2 % of the image."""
    return ellipses + rng.normal(scale=0.02, size=ellipses.shape) * [1, 1, 0.5, 0.5, 0]


def rasterize(ellipses: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """Return the label map (size, size) of ellipses; later classes cover earlier ones."""
    mask = np.zeros((size, size), np.uint8)
    for label, (x, y, a, b, turn) in enumerate(ellipses, start=1):
        center, axes = (int(x * size), int(y * size)), (int(a * size), int(b * size))
        cv2.ellipse(mask, center, axes, 360 * turn, 0, 360, label, -1)
    return mask


def make_logits(ellipses: NDArray[np.float64], num_classes: int) -> NDArray[np.float32]:
    """Return smooth logits (K, OUTPUT_SIZE, OUTPUT_SIZE) that are highest inside the ellipses."""
    mask = rasterize(ellipses, OUTPUT_SIZE)
    planes = [cv2.GaussianBlur((mask == label).astype(np.float32), (0, 0), 2) for label in range(num_classes)]
    return 8 * np.stack(planes)


def _sample(
    folder: Path,
    task: Task,
    i: int,
    size: int,
    mask: NDArray[np.uint8] | None = None,
    label: int | None = None,
    box: tuple[float, float, float, float] | None = None,
    points: tuple[tuple[float, float], ...] | None = None,
) -> Sample:
    name = f"{task.id}_{size}_{i}"
    path = None if mask is None else folder / f"{name}.png"
    digest = ""
    if path is not None and mask is not None:
        cv2.imwrite(str(path), mask)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Sample(task.id, name, Path(name), name, "", digest, size, size, "", i, path, label, box, points)
