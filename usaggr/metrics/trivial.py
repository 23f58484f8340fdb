"""The trivial predictor, which ignores the image: scores are compared with its score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.results.predictions import Prediction
from usaggr.tasks import Task

LEVELS = (0.5, 0.4, 0.3, 0.2, 0.1)
"""Levels of the mean mask: the constant mask is one of its level sets."""


@dataclass(frozen=True)
class TrivialPredictor:
    """A predictor that gives the same answer for every image of a task, scaled to the size of the image."""

    task: Task
    answer: NDArray[Any]
    """Class frequencies (K,), a mask (h, w) uint8, or a box (4,) or points (P, 2) as fractions of the image's sides."""

    def predict(self, sample_id: str, subject_id: str, height: int, width: int) -> Prediction:
        """Return the answer for an image.

        Args:
            sample_id: Name of the sample.
            subject_id: Subject of the sample.
            height: Height of the image, in pixels.
            width: Width of the image, in pixels.
        """
        sides = np.array([width, height], dtype=float)
        match self.task.type:
            case "segmentation":
                mask = cv2.resize(self.answer, (width, height), interpolation=cv2.INTER_NEAREST_EXACT).astype(np.uint8)
                return Prediction(self.task.id, sample_id, subject_id, mask=mask)
            case "classification":
                return Prediction(self.task.id, sample_id, subject_id, probs=self.answer)
            case "detection":
                return Prediction(self.task.id, sample_id, subject_id, box=self.answer * np.tile(sides, 2))
            case "regression":
                return Prediction(self.task.id, sample_id, subject_id, points=self.answer * sides)
            case _:
                assert_never(self.task.type)


def fit_trivial(task: Task, targets: NDArray[Any] | Sequence[NDArray[np.uint8]]) -> TrivialPredictor:
    """Fit the constant answer to a task's training labels.

    Args:
        task: The task, whose type determines the kind of targets.
        targets: N masks (h, w) uint8, which are read one after another; classes (N,); or boxes (N, 4) or points
            (N, P, 2) as fractions of the image's sides.

    Raises:
        ValueError: There are no targets.
    """
    if len(targets) == 0:
        raise ValueError(f"{task.id}: no training label to fit a constant answer to")
    match task.type:
        case "segmentation":
            return TrivialPredictor(task, choose_constant_mask(targets, task.num_classes))
        case "classification":
            return TrivialPredictor(task, np.bincount(targets, minlength=task.num_classes) / len(targets))
        case "detection" | "regression":
            return TrivialPredictor(task, np.mean(targets, axis=0))
        case _:
            assert_never(task.type)


def choose_constant_mask(masks: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], num_classes: int) -> NDArray[np.uint8]:
    """Return the level set of the mean mask that has the highest mean DSC with the N masks (h, w).

    A pixel has its most frequent foreground class if that class's share of the masks reaches the level. With the level
    0.5 only, tasks whose lesions are in different places would have no foreground, and any blob would beat the
    predictor. Of equally good levels, the highest is used.
    """
    shares = _compute_shares(masks, num_classes)[1:]
    foreground = (shares.argmax(axis=0) + 1).astype(np.uint8)
    highest = shares.max(axis=0)
    reached = np.sum([highest >= level for level in LEVELS], axis=0)
    # Rounded, so that equal levels stay equal in spite of rounding errors.
    quality = _mean_dsc_by_level(masks, foreground, reached, num_classes).round(12)
    inside = reached >= len(LEVELS) - int(quality.argmax())
    return np.where(inside, foreground, 0).astype(np.uint8)


def _compute_shares(masks: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], num_classes: int) -> NDArray[np.float64]:
    """Return the share of masks in which each pixel has each class, (K, h, w)."""
    counts = np.zeros((num_classes, *masks[0].shape), np.int32)
    for mask in masks:  # one after another, because the masks of a task can fill much of the memory
        for label in range(num_classes):
            counts[label] += mask == label
    return counts / len(masks)


def _mean_dsc_by_level(
    masks: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    foreground: NDArray[np.uint8],
    reached: NDArray[np.integer],
    num_classes: int,
) -> NDArray[np.float64]:
    """Return the mean DSC over masks and foreground classes of the constant mask at each of LEVELS, (L,).

    Level sets are nested. Each pixel is in one cell, given by its class and the number of levels that it reaches, so
    the overlaps of all levels with a mask are cumulative sums over the cells' counts.

    Args:
        masks: N masks (h, w).
        foreground: (h, w) most frequent foreground class of each pixel.
        reached: (h, w) number of levels that each pixel reaches.
        num_classes: Number of classes with the background.
    """
    cells = foreground.astype(np.intp) * (len(LEVELS) + 1) + reached
    shape = (num_classes, len(LEVELS) + 1)

    def count_by_level(selected: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the number of pixels of each foreground class in each level set, the highest first: (K - 1, L)."""
        by_cell = np.bincount(selected, minlength=shape[0] * shape[1]).reshape(shape)
        return by_cell[1:, :0:-1].cumsum(axis=1)

    constant = count_by_level(cells.ravel())
    total = np.zeros(len(LEVELS))
    for mask in masks:
        size = np.bincount(mask.ravel(), minlength=num_classes)[1:num_classes, None] + constant
        shared = count_by_level(cells[mask == foreground])
        total += np.where(size > 0, 2 * shared / np.maximum(size, 1), 1.0).mean(axis=0)
    return total / len(masks)
