"""Networks and batches for the tests of m2dino."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from usaggr.config.compose import compose_study
from usaggr.config.model import M2DinoConfig
from usaggr.models.build_network import build_network
from usaggr.models.m2dino import M2Dino
from usaggr.tasks import CATALOGUE, Task

SEG, CLS, DET, REG = (CATALOGUE[t] for t in ("cardiac_multi", "breast_3cls", "thyroid_nodule_det", "IUGC"))
ALL = (SEG, CLS, DET, REG)
TINY = compose_study("demo", ["model=m2dino_tiny", "model.dropout=0"]).model
assert isinstance(TINY, M2DinoConfig)
DEFAULTS = TINY.model_dump()


def model(**changes: Any) -> M2DinoConfig:
    """Configuration of the tiny model with other keys; `experts` changes some keys of the experts."""
    experts = {**DEFAULTS["experts"], **changes.pop("experts", {})}
    return M2DinoConfig.model_validate({**DEFAULTS, **changes, "experts": experts})


def network(tasks: Sequence[Task] = ALL, seed: int = 0, **changes: Any) -> M2Dino:
    built = build_network(model(**changes), tasks, seed)
    assert isinstance(built, M2Dino)
    return built


def make_batch_indices(tasks: Sequence[Task] = ALL) -> dict[str, Tensor]:
    """Batch indices of two samples per task, interleaved."""
    return {task.id: torch.tensor([i, i + len(tasks)]) for i, task in enumerate(tasks)}


def images(n: int = 8, size: tuple[int, int] = (32, 48)) -> Tensor:
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(0))


def loss(outputs: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([output.square().sum() for output in outputs.values()]).sum()


def awaken(built: M2Dino, scale: float = 0.1) -> M2Dino:
    """Change every weight a little, so that weights that start equal or at zero differ."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return built
