"""Heads: from the map that a task type reads to its output. Each task has its own, whatever tasks share the rest.

Segmentation, detection and heat-map landmarks read the decoder's map; classification and direct landmarks the encoder's
last one, as in the official baseline of the benchmark.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base.initialization import initialize_head  # type: ignore[import-untyped]
from torch import Tensor, nn

from usaggr.config import ModelConfig
from usaggr.models.decoder import STRIDE
from usaggr.tasks import Task

Source = Literal["encoder", "decoder"]


class Head(nn.Module):
    """Base of all heads: says which map it reads."""

    reads: Source


class SegmentationHead(Head):
    """Decoder map (n, C, H / 4, W / 4) to logits (n, K, H, W)."""

    reads = "decoder"

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.logits = nn.Conv2d(channels, classes, kernel_size=3, padding=1)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits at the input's size."""
        return F.interpolate(self.logits(maps), scale_factor=STRIDE, mode="bilinear", align_corners=False)


class ClassificationHead(Head):
    """Encoder map (n, C, h, w) to logits (n, K), by its mean over the map."""

    reads = "encoder"

    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(channels, classes)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits of the classes."""
        logits: Tensor = self.logits(self.dropout(maps.mean(dim=(2, 3))))
        return logits


class HeatmapHead(Head):
    """Decoder map (n, C, h, w) to landmarks (n, P, 2): x, y in [0, 1], the centres of mass of P heat maps.

    Nibali et al., Numerical Coordinate Regression with Convolutional Neural Networks, 2018.
    """

    reads = "decoder"

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.heatmaps = nn.Conv2d(channels, points, kernel_size=3, padding=1)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Landmarks of each sample."""
        return centre_of_mass(spatial_softmax(self.heatmaps(maps)))


class DirectHead(Head):
    """Encoder map (n, C, h, w) to landmarks (n, P, 2): x, y in [0, 1], by a linear layer.

    The map is pooled to a coarse grid and not to one mean, so that places are not lost.
    """

    reads = "encoder"
    GRID = 4

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.coordinates = nn.Linear(channels * self.GRID**2, 2 * points)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Landmarks of each sample."""
        pooled = F.adaptive_avg_pool2d(maps, self.GRID).flatten(1)
        coordinates: Tensor = self.coordinates(pooled)
        return coordinates.sigmoid().reshape(len(maps), -1, 2)


class DetectionHead(Head):
    """Decoder map (n, C, h, w) to one box (n, 4): x_min y_min x_max y_max in [0, 1], never inside out.

    Each edge of the box is the centre of mass of a heat map of its own, in x or in y: learned faster, in comparison,
    than centre and size from pooled features, since an edge is seen where it is.
    """

    reads = "decoder"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.edges = nn.Conv2d(channels, 4, kernel_size=3, padding=1)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """The box of each sample."""
        centres = centre_of_mass(spatial_softmax(self.edges(maps)))
        x, y = centres[:, :2, 0], centres[:, 2:, 1]
        return torch.stack([x.amin(dim=1), y.amin(dim=1), x.amax(dim=1), y.amax(dim=1)], dim=1)


def build_head(task: Task, model: ModelConfig, encoder_channels: int, decoder_channels: int) -> Head:
    """A task's head, freshly initialised from torch's global generator."""
    match task.type:
        case "segmentation":
            return SegmentationHead(decoder_channels, task.num_classes)
        case "classification":
            return ClassificationHead(encoder_channels, task.num_classes, model.dropout)
        case "detection":
            return DetectionHead(decoder_channels)
        case "regression":
            if model.landmarks == "direct":
                return DirectHead(encoder_channels, task.num_classes)
            return HeatmapHead(decoder_channels, task.num_classes)


def spatial_softmax(logits: Tensor) -> Tensor:
    """Distributions over positions: logits (n, P, h, w) to probabilities (n, P, h, w) that sum to 1 a map."""
    single = torch.promote_types(logits.dtype, torch.float32)  # sums over positions are too long for half precision
    return logits.flatten(2).softmax(dim=2, dtype=single).view_as(logits)


def centre_of_mass(maps: Tensor) -> Tensor:
    """Means (n, P, 2): x, y in [0, 1], of distributions (n, P, h, w) over the centres of a map's pixels."""
    height, width = maps.shape[-2:]
    x = (torch.arange(width, device=maps.device, dtype=maps.dtype) + 0.5) / width
    y = (torch.arange(height, device=maps.device, dtype=maps.dtype) + 0.5) / height
    return torch.stack([(maps.sum(dim=2) * x).sum(dim=2), (maps.sum(dim=3) * y).sum(dim=2)], dim=2)
