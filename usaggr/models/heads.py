"""Heads: from the shared maps to what a task's type needs. A head has weights of its own and shares none."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from usaggr.config import ModelConfig
from usaggr.tasks import Task


class SegmentationHead(nn.Module):
    """Logits of each class, enlarged to the input's size."""

    def __init__(self, channels: int, classes: int, stride: int) -> None:
        super().__init__()
        self.classify = nn.Conv2d(channels, classes, 1)
        self._stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        """(n, C, h, w) to logits (n, K, stride h, stride w)."""
        return F.interpolate(self.classify(maps), scale_factor=self._stride, mode="bilinear", align_corners=False)


class ClassificationHead(nn.Module):
    """Logits of each class, from the mean over the map."""

    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(channels, classes)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, C, h, w) to logits (n, K)."""
        logits: Tensor = self.classify(self.dropout(maps.mean(dim=(2, 3))))
        return logits


class BoxHead(nn.Module):
    """One box: its centre is the mean place under an attention map, its size comes from the features seen there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        self.attend = nn.Conv2d(channels, 1, 1)
        self.size = nn.Linear(channels, 2)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, C, h, w) to boxes (n, 4): x_min, y_min, x_max, y_max in [0, 1], never inverted."""
        mixed = F.relu(self.mix(maps))
        attention = spatial_softmax(self.attend(mixed))
        centre = mean_place(attention)[:, 0]
        seen = torch.einsum("nhw,nchw->nc", attention[:, 0], mixed)
        half = torch.sigmoid(self.size(seen)) / 2
        return torch.cat([centre - half, centre + half], dim=1).clamp(0, 1)


class HeatmapHead(nn.Module):
    """Landmarks as the mean place under a heat map each (DSNT, Nibali et al. 2018)."""

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        self.locate = nn.Conv2d(channels, points, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, C, h, w) to points (n, P, 2): x, y in [0, 1]."""
        return mean_place(spatial_softmax(self.locate(F.relu(self.mix(maps)))))


class DirectHead(nn.Module):
    """Landmarks as coordinates, from the map pooled to a coarse grid, so that places are not lost."""

    GRID = 4

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.locate = nn.Linear(channels * self.GRID**2, points * 2)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, C, h, w) to points (n, P, 2): x, y in [0, 1]."""
        pooled = F.adaptive_avg_pool2d(maps, self.GRID).flatten(1)
        return torch.sigmoid(self.locate(pooled)).unflatten(1, (-1, 2))


def build_head(task: Task, model: ModelConfig, encoder_channels: int, decoder_channels: int, stride: int) -> nn.Module:
    """The head of a task.

    Segmentation, detection and heat maps read the decoder's map (`decoder_channels`, at `stride`), classification and
    direct landmarks the encoder's last one, as in the official baseline.
    """
    match task.type:
        case "segmentation":
            return SegmentationHead(decoder_channels, task.num_classes, stride)
        case "classification":
            return ClassificationHead(encoder_channels, task.num_classes, model.dropout)
        case "detection":
            return BoxHead(decoder_channels)
        case "regression" if model.landmarks == "heatmap":
            return HeatmapHead(decoder_channels, task.num_classes)
        case "regression":
            return DirectHead(encoder_channels, task.num_classes)


def reads_decoder(task: Task, model: ModelConfig) -> bool:
    """Whether a task's head reads the decoder's map, rather than the encoder's last one."""
    return task.type in ("segmentation", "detection") or (task.type == "regression" and model.landmarks == "heatmap")


def spatial_softmax(logits: Tensor) -> Tensor:
    """(n, P, h, w) logits to weights that sum to 1 over each map."""
    return logits.float().flatten(2).softmax(dim=2).view_as(logits)


def mean_place(weights: Tensor) -> Tensor:
    """(n, P, h, w) weights to the mean of pixels' centres: (n, P, 2), x and y in [0, 1]."""
    height, width = weights.shape[2:]
    x = (torch.arange(width, device=weights.device) + 0.5) / width
    y = (torch.arange(height, device=weights.device) + 0.5) / height
    return torch.stack([(weights.sum(dim=2) * x).sum(dim=2), (weights.sum(dim=3) * y).sum(dim=2)], dim=2)
