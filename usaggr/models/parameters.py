"""Which part of a network each parameter belongs to, and how many there are: in all, trained, active for one task."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from torch import nn

from usaggr.models.experts import ExpertMlp, Router
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import PerTask, module_name
from usaggr.models.vit import VisionTransformer

ModuleT = TypeVar("ModuleT", bound=nn.Module)
Part = Literal["backbone", "experts", "conditioning", "decoder", "heads"]
"""backbone: the encoder but for its experts; conditioning: routers, task embeddings, adapters."""
_BLOCK = re.compile(r"(?:^|\.)blocks\.(\d+)\.")


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters."""

    total: int
    trained: int
    active: int
    """Those that serve one task: the most over tasks."""
    parts: dict[Part, int]
    """They sum to the total."""


def parts_of(network: MultiTaskNetwork) -> dict[str, Part]:
    """The part of each parameter, by its name in the network."""
    inner: list[tuple[str, Part]] = []
    for name, module in network.named_modules():
        if isinstance(module, PerTask | Router):
            inner.append((f"{name}.", "conditioning"))
        elif isinstance(module, ExpertMlp):
            inner.append((f"{name}.experts.", "experts"))
    outer: list[tuple[str, Part]] = [("encoder.", "backbone"), ("decoder.", "decoder"), ("heads.", "heads")]
    return {
        name: next(part for prefix, part in [*inner, *outer] if name.startswith(prefix))
        for name, _ in network.named_parameters()
    }


def encoder_blocks(network: MultiTaskNetwork) -> int:
    """Blocks of a transformer; 0 for an encoder that is none."""
    return network.encoder.depth if isinstance(network.encoder, VisionTransformer) else 0


def layer_depth(name: str, depth: int) -> int:
    """How deep a parameter of a transformer of so many blocks stands: 0 before them, depth + 1 behind them."""
    block = _BLOCK.search(name)
    if block:
        return int(block[1]) + 1
    return depth + 1 if re.search(r"(?:^|\.)(?:fc_)?norm\.", name) else 0


def count_parameters(network: MultiTaskNetwork) -> ParameterCounts:
    """Count a network's parameters."""
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    parts: dict[Part, int] = {}
    for name, part in parts_of(network).items():
        parts[part] = parts.get(part, 0) + sizes[name]
    total = sum(sizes.values())
    routed = [mlp for mlp in _of(network, ExpertMlp) if mlp.router is not None]
    idle = sum(_size(mlp.experts) * (mlp.count - mlp.top_k) // mlp.count for mlp in routed)
    own = {task_id: _own(network, task_id) for task_id in network.tasks}
    active = total - idle - sum(own.values()) + max(own.values())
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return ParameterCounts(total, trained, active, parts)


def _own(network: MultiTaskNetwork, task_id: str) -> int:
    """Parameters that serve one task alone."""
    name = f"task_{module_name(task_id)}"
    inside: list[int] = [module.of[name].numel() for module in _of(network, PerTask)]
    return _size(network.head(task_id)) + sum(inside)


def _of(network: nn.Module, kind: type[ModuleT]) -> Iterator[ModuleT]:
    return (module for module in network.modules() if isinstance(module, kind))


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
