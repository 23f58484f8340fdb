"""Parameters of a network: the role of each, and their numbers in total, trained, and active for one task."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from torch import Tensor, nn

from usaggr.models.experts import ExpertMlp, Router
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import PerTask
from usaggr.models.vit import VisionTransformer
from usaggr.models.weight_sizes import WeightSizes

ModuleT = TypeVar("ModuleT", bound=nn.Module)
ParameterRole = Literal["backbone", "experts", "conditioning", "decoder", "heads"]
"""backbone: the encoder without its experts; conditioning: routers, task embeddings, adapters."""
_BLOCK = re.compile(r"(?:^|\.)blocks\.(\d+)\.")


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters of a network."""

    total: int
    trained: int
    active: int
    """Parameters used for a sample of one task; the maximum over tasks."""
    by_role: dict[ParameterRole, int]
    """Number by role; they sum to the total."""


def map_parameter_roles(network: MultiTaskNetwork) -> dict[str, ParameterRole]:
    """Return the role of each parameter, by its name in the network."""
    inner: list[tuple[str, ParameterRole]] = []
    for name, module in network.named_modules():
        if isinstance(module, PerTask | Router):
            inner.append((f"{name}.", "conditioning"))
        elif isinstance(module, ExpertMlp):
            inner.append((f"{name}.experts.", "experts"))
    outer: list[tuple[str, ParameterRole]] = [("encoder.", "backbone"), ("decoder.", "decoder"), ("heads.", "heads")]
    # The first prefix that matches decides: experts and conditioning are inside the encoder.
    prefixes = [*inner, *outer]
    return {
        name: next(role for prefix, role in prefixes if name.startswith(prefix))
        for name, _ in network.named_parameters()
    }


def count_encoder_blocks(network: MultiTaskNetwork) -> int:
    """Return the number of blocks of a transformer; 0 for other encoders."""
    return network.encoder.depth if isinstance(network.encoder, VisionTransformer) else 0


def get_layer_depth(name: str, blocks: int) -> int:
    """Return the depth of a parameter of a transformer by its name.

    It is 0 before the first block, i + 1 in block i (from 0), and `blocks` + 1 after the last block.
    """
    match = _BLOCK.search(name)
    if match:
        return int(match[1]) + 1
    return blocks + 1 if re.search(r"(?:^|\.)(?:fc_)?norm\.", name) else 0


def count_parameters(network: MultiTaskNetwork) -> ParameterCounts:
    """Count the parameters of a network."""
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    by_role: dict[ParameterRole, int] = {}
    for name, role in map_parameter_roles(network).items():
        by_role[role] = by_role.get(role, 0) + sizes[name]
    total = sum(sizes.values())
    # Without a router all experts serve each token; with one, count - top_k of them are idle.
    routed = [mlp for mlp in _find_modules(network, ExpertMlp) if mlp.router is not None]
    idle = sum(_count_elements(mlp.experts) * (mlp.count - mlp.top_k) // mlp.count for mlp in routed)
    by_task = {task_id: _count_task_parameters(network, task_id) for task_id in network.tasks}
    active = total - idle - sum(by_task.values()) + max(by_task.values())
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return ParameterCounts(total, trained, active, by_role)


def measure_weights(network: MultiTaskNetwork) -> WeightSizes:
    """Return the sizes of a network's weights, with buffers; the network may be on the meta device."""
    total = _count_bytes(network.state_dict().values())
    per_task = list(_find_modules(network, PerTask))
    by_task = {
        task_id: _count_bytes(network.get_head(task_id).state_dict().values())
        + _count_bytes(module.get_tensor(task_id) for module in per_task)
        for task_id in network.tasks
    }
    return WeightSizes(total - sum(by_task.values()), by_task)


def _count_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _count_task_parameters(network: MultiTaskNetwork, task_id: str) -> int:
    """Return the number of parameters that serve one task only."""
    per_task = sum(module.get_tensor(task_id).numel() for module in _find_modules(network, PerTask))
    return _count_elements(network.get_head(task_id)) + per_task


def _find_modules(network: nn.Module, kind: type[ModuleT]) -> Iterator[ModuleT]:
    """Return the modules of a kind, at any depth."""
    return (module for module in network.modules() if isinstance(module, kind))


def _count_elements(module: nn.Module) -> int:
    """Return the number of parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())
