"""The networks that the benchmarks of models compare, what they hold, and what a forward pass of each computes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training.training_step import TASKS, TrainingStep, study_of
from usaggr.config.model import M2DinoConfig
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.parameters import ParameterCounts, count_parameters

NETWORKS: tuple[tuple[str, ...], ...] = (
    ("model=tiny",),
    ("model=mh_mtl",),
    ("model=mh_mtl", "model.encoder=resnet18"),
    ("model=m2dino_tiny",),
    ("model=m2dino_small",),
    ("model=m2dino_small", "model.conditioning=none"),
    ("model=m2dino_small", "model.experts.top_k=4"),
    ("model=m2dino_small", "model.conditioning=lora"),
    ("model=m2dino_small", "model.conditioning=film"),
    ("model=m2dino",),
)
"""As overrides of the configuration."""
FLOP_SIZE = 256
"""Pixels a side of the image that FLOPs are counted for."""


@dataclass(frozen=True)
class Facts:
    """What is known of a network without timing it."""

    overrides: tuple[str, ...]
    counts: ParameterCounts
    forward_flops: float
    """Of one image of FLOP_SIZE pixels a side, of a segmentation task."""


def facts(overrides: tuple[str, ...], network: MultiTaskNetwork) -> Facts:
    """Count a network's parameters, which has a head for each of TASKS, and the FLOPs of a forward pass.

    The network is left in evaluation mode.
    """
    image, rows = torch.randn(1, 3, FLOP_SIZE, FLOP_SIZE), {TASKS[0].id: torch.tensor([0])}
    network.eval()
    with torch.inference_mode():
        flops = counted_flops(lambda: network(image, rows))
    return Facts(overrides, count_parameters(network), flops)


def step_flops(step: TrainingStep) -> float:
    """FLOPs of the forward and backward pass of a training step; the optimiser's are not counted."""
    flops = counted_flops(step.gradient)
    step.discard()
    return flops


def counted_flops(work: Callable[[], object]) -> float:
    """FLOPs of convolutions and matrix products, those of attention too: two for a multiplication with its addition.

    Attention is computed as plain matrix products meanwhile, since torch does not count its CPU kernel.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def bare_backbone(overrides: tuple[str, ...]) -> int | None:
    """Parameters of the transformer that m2dino starts from, as timm builds it without a head; None for others."""
    model = study_of(overrides, 1, FLOP_SIZE).model
    if not isinstance(model, M2DinoConfig):
        return None
    options: dict[str, Any] = {} if model.patch_size is None else {"patch_size": model.patch_size}
    vit = timm.create_model(model.encoder, num_classes=0, **options)
    return sum(parameter.numel() for parameter in vit.parameters())
