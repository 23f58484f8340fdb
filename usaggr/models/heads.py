"""Heads: from the map that a task type reads to its output. Each task has its own, whatever tasks share the rest.

In mh_mtl, as in the benchmark's baseline, segmentation, detection and heat-map landmarks read the decoder's map,
classification and direct landmarks the encoder's last one. In m2dino all read the decoder's.
"""

from dataclasses import dataclass
from typing import Literal, assert_never

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base.initialization import initialize_head  # type: ignore[import-untyped]
from torch import Tensor, nn

from usaggr.config.model import ModelConfig
from usaggr.tasks import Task

Source = Literal["encoder", "decoder"]


@dataclass(frozen=True)
class HeadMaps:
    """What a network offers its heads."""

    decoder_channels: int
    decoder_stride: float
    """Pixels of the input a pixel of the decoder's map."""
    pooled: Source
    """The map that heads without a place in the image read."""
    pooled_channels: int


class Head(nn.Module):
    """Base of all heads: says which map it reads."""

    def __init__(self, reads: Source = "decoder") -> None:
        super().__init__()
        self.reads: Source = reads


class SegmentationHead(Head):
    """Decoder map (n, C, H / stride, W / stride) to logits (n, K, H, W)."""

    def __init__(self, channels: int, classes: int, stride: float) -> None:
        super().__init__()
        self.stride = stride
        self.logits = nn.Conv2d(channels, classes, kernel_size=3, padding=1)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits at the input's size."""
        return F.interpolate(self.logits(maps), scale_factor=self.stride, mode="bilinear", align_corners=False)


class ClassificationHead(Head):
    """Map (n, C, h, w) to logits (n, K), by its mean over the map."""

    def __init__(self, channels: int, classes: int, dropout: float, reads: Source) -> None:
        super().__init__(reads)
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

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.heatmaps = nn.Conv2d(channels, points, kernel_size=3, padding=1)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Landmarks of each sample."""
        return centre_of_mass(spatial_softmax(self.heatmaps(maps)))


class DirectHead(Head):
    """Map (n, C, h, w) to landmarks (n, P, 2): x, y in [0, 1], by a linear layer.

    The map is pooled to a coarse grid and not to one mean, so that places are not lost.
    """

    GRID = 4

    def __init__(self, channels: int, points: int, reads: Source) -> None:
        super().__init__(reads)
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

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.edges = nn.Conv2d(channels, 4, kernel_size=3, padding=1)
        initialize_head(self)

    def forward(self, maps: Tensor) -> Tensor:
        """The box of each sample."""
        centres = centre_of_mass(spatial_softmax(self.edges(maps)))
        x, y = centres[:, :2, 0], centres[:, 2:, 1]
        return torch.stack([x.amin(dim=1), y.amin(dim=1), x.amax(dim=1), y.amax(dim=1)], dim=1)


def build_head(task: Task, model: ModelConfig, maps: HeadMaps) -> Head:
    """A task's head, freshly initialised from torch's global generator."""
    match task.type:
        case "segmentation":
            return SegmentationHead(maps.decoder_channels, task.num_classes, maps.decoder_stride)
        case "classification":
            return ClassificationHead(maps.pooled_channels, task.num_classes, model.dropout, maps.pooled)
        case "detection":
            return DetectionHead(maps.decoder_channels)
        case "regression":
            if model.landmarks == "direct":
                return DirectHead(maps.pooled_channels, task.num_classes, maps.pooled)
            return HeatmapHead(maps.decoder_channels, task.num_classes)
        case _:
            assert_never(task.type)


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
