"""Decoding of a network's outputs into predictions in pixels of the original image."""

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


def decode_outputs(task: Task, outputs: Tensor, samples: Sequence[Sample]) -> list[Prediction]:
    """Return predictions of one task's samples at original resolution.

    Args:
        task: Task whose head computed the outputs.
        outputs: Logits of masks (n, K, H, W) or of classes (n, K), boxes (n, 4) or points (n, P, 2) in [0, 1].
        samples: The n samples, in the order of the outputs.
    """
    outputs = outputs.detach().float().cpu()
    match task.type:
        case "segmentation":
            return [_decode_mask(task, logits, sample) for logits, sample in zip(outputs, samples, strict=True)]
        case "classification":
            probabilities = outputs.double().softmax(dim=1).numpy()
            return [
                Prediction(task.id, s.sample_id, s.subject_id, probs=probs)
                for s, probs in zip(samples, probabilities, strict=True)
            ]
        case "detection":
            return [
                Prediction(task.id, s.sample_id, s.subject_id, box=(box * _get_sides(s).repeat(2)).numpy())
                for s, box in zip(samples, outputs.double(), strict=True)
            ]
        case "regression":
            return [
                Prediction(task.id, s.sample_id, s.subject_id, points=(points * _get_sides(s)).numpy())
                for s, points in zip(samples, outputs.double(), strict=True)
            ]
        case _:
            assert_never(task.type)


def _decode_mask(task: Task, logits: Tensor, sample: Sample) -> Prediction:
    """Decode the mask of a sample.

    Logits are resized rather than labels, so that edges between classes stay smooth.

    Args:
        task: Task of the sample.
        logits: (K, h, w) at the size of the network's input.
        sample: Sample whose original size the mask gets.
    """
    size = (sample.height, sample.width)
    resized = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    return Prediction(task.id, sample.sample_id, sample.subject_id, mask=compute_label_map(resized.numpy()))


def compute_label_map(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the class with the highest logit for each pixel, (H, W), from logits (K, H, W); the first of equal ones.

    The result equals `logits.argmax(axis=0)`, which is 100 times slower along the first axis and took longer than all
    scores together. Here whole images are compared, class by class.
    """
    if not np.isfinite(logits).all():  # a diverged network: comparisons with NaN are false, and would skip it
        return np.asarray(logits.argmax(axis=0), dtype=np.uint8)
    highest, *remaining = logits
    labels = np.zeros(highest.shape, np.uint8)
    for label, values in enumerate(remaining, start=1):
        # A class above all before it sets its label, which is larger than theirs; the last such class is the highest.
        np.maximum(labels, (values > highest) * np.uint8(label), out=labels)
        highest = np.maximum(highest, values) if label < len(remaining) else highest
    return labels


def _get_sides(sample: Sample) -> Tensor:
    """Return width and height of the original image, in pixels: (2,)."""
    return torch.tensor([sample.width, sample.height], dtype=torch.float64)
