"""Networks that the benchmarks of models compare, with their parameters and the FLOPs of a forward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training.training_step import TASKS, TrainingStep, make_study
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
"""Compared networks, as overrides of the configuration."""
FLOP_SIZE = 256
"""Height and width of the image for which FLOPs are counted, in pixels."""


@dataclass(frozen=True)
class Facts:
    """Properties of a network that need no timing."""

    overrides: tuple[str, ...]
    counts: ParameterCounts
    forward_flops: float
    """FLOPs for one image of FLOP_SIZE x FLOP_SIZE pixels of a segmentation task."""


def measure_facts(overrides: tuple[str, ...], network: MultiTaskNetwork) -> Facts:
    """Count the parameters of a network with a head for each of TASKS, and the FLOPs of a forward pass.

    The network is in evaluation mode afterwards.
    """
    image, batch_indices = torch.randn(1, 3, FLOP_SIZE, FLOP_SIZE), {TASKS[0].id: torch.tensor([0])}
    network.eval()
    with torch.inference_mode():
        flops = count_flops(lambda: network(image, batch_indices))
    return Facts(overrides, count_parameters(network), flops)


def count_step_flops(step: TrainingStep) -> float:
    """Return the FLOPs of a training step's forward and backward pass, without the optimizer."""
    flops = count_flops(step.gradient)
    step.discard()
    return flops


def count_flops(work: Callable[[], object]) -> float:
    """Return the FLOPs of convolutions and matrix products; a multiplication with its addition counts as two.

    Attention is computed as plain matrix products meanwhile, because torch does not count its CPU kernel.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def count_backbone_parameters(overrides: tuple[str, ...]) -> int | None:
    """Return the parameters of the transformer that m2dino starts from, as timm builds it without a head.

    Returns:
        Number of parameters; None for other networks.
    """
    model = make_study(overrides, 1, FLOP_SIZE).model
    if not isinstance(model, M2DinoConfig):
        return None
    options: dict[str, Any] = {} if model.patch_size is None else {"patch_size": model.patch_size}
    vit = timm.create_model(model.encoder, num_classes=0, **options)
    return sum(parameter.numel() for parameter in vit.parameters())
