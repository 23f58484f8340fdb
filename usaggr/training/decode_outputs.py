"""From the network's outputs to predictions in pixels of the original image."""

from collections.abc import Sequence
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from usaggr.data.samples import Sample
from usaggr.results.predictions import Prediction
from usaggr.tasks import Task


def predictions_of(task: Task, outputs: Tensor, samples: Sequence[Sample]) -> list[Prediction]:
    """Predictions of one task's samples at original resolution.

    Args:
        task: whose head gave the outputs.
        outputs: masks' logits (n, K, H, W) or classes' (n, K), boxes (n, 4) or points (n, P, 2) in [0, 1].
        samples: n samples, in the outputs' order.
    """
    outputs = outputs.detach().float().cpu()
    match task.type:
        case "segmentation":
            return [_mask(task, logits, sample) for logits, sample in zip(outputs, samples, strict=True)]
        case "classification":
            probabilities = outputs.double().softmax(dim=1).numpy()
            return [
                Prediction(task.id, s.sample_id, s.subject_id, probs=probs)
                for s, probs in zip(samples, probabilities, strict=True)
            ]
        case "detection":
            return [
                Prediction(task.id, s.sample_id, s.subject_id, box=(box * _sides(s).repeat(2)).numpy())
                for s, box in zip(samples, outputs.double(), strict=True)
            ]
        case "regression":
            return [
                Prediction(task.id, s.sample_id, s.subject_id, points=(points * _sides(s)).numpy())
                for s, points in zip(samples, outputs.double(), strict=True)
            ]
        case _:
            assert_never(task.type)


def _mask(task: Task, logits: Tensor, sample: Sample) -> Prediction:
    """Logits are enlarged, not labels: edges between classes stay smooth."""
    size = (sample.height, sample.width)
    full = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    return Prediction(task.id, sample.sample_id, sample.subject_id, mask=label_map(full.numpy()))


def label_map(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The class of the highest logit, the first of equal ones, for logits (K, H, W): (H, W).

    As `argmax(axis=0)` has it, class by class over whole images: along the first axis that takes a hundred times as
    long, and took more than all scores together.
    """
    if not np.isfinite(logits).all():  # a network that has diverged: comparisons would pass over what is no number
        return np.asarray(logits.argmax(axis=0), dtype=np.uint8)
    highest, *others = logits
    labels = np.zeros(highest.shape, np.uint8)
    for label, values in enumerate(others, start=1):
        # Of the classes that were higher than all before them, the last, which has the highest number, is the highest.
        np.maximum(labels, (values > highest) * np.uint8(label), out=labels)
        highest = np.maximum(highest, values) if label < len(others) else highest
    return labels


def _sides(sample: Sample) -> Tensor:
    return torch.tensor([sample.width, sample.height], dtype=torch.float64)
