"""Preparation of a network for its device: channels-last memory, and compilation of what all tasks share.

Numbers change only by rounding. Modules that depend on the tasks of a batch are never compiled: the combination of
tasks changes from step to step, and each combination would need its own graph.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from usaggr.config.study import TrainingConfig
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import TaskContext


def prepare_for_device(network: MultiTaskNetwork, device: torch.device, training: TrainingConfig) -> None:
    """Prepare a network in place for training on a device; its parameters stay the same objects.

    Args:
        network: Network to train.
        device: Device that it will be trained on.
        training: Configuration; `channels_last` and `compile` are read.
    """
    if should_use_channels_last(network, device, training):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if training.compile:
        compile_shared_modules(network)


def should_use_channels_last(network: nn.Module, device: torch.device, training: TrainingConfig) -> bool:
    """Return True if convolutions should run with channels last.

    With `auto` this is so on a GPU in mixed precision, where tensor cores read this format, if the network has no group
    norms. For those, torch converts back to channels first at each call.

    Args:
        network: Network to train.
        device: Device that it will be trained on.
        training: Configuration; `channels_last` and `precision` are read.
    """
    if training.channels_last != "auto":
        return training.channels_last
    has_group_norms = any(isinstance(module, nn.GroupNorm) for module in network.modules())
    return device.type == "cuda" and training.precision != "32-true" and not has_group_norms


def compile_shared_modules(network: MultiTaskNetwork, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile the modules that all tasks share, for training; without gradients they run uncompiled.

    Graphs without gradients would take longer to compile than they save.
    """
    # torch counts graphs by source code and stops compiling at a limit, which the earlier runs of this process would
    # use up. The compiler's cache on disk keeps their graphs.
    torch._dynamo.reset()
    for module in find_shared_modules(network):
        module.forward = _CompiledForward(module.forward, backend)


def undo_compilation(network: nn.Module) -> None:
    """Restore the uncompiled forward methods."""
    for module in network.modules():
        if isinstance(module.forward, _CompiledForward):
            del module.forward  # the instance attribute, which hides the method of the class


def find_shared_modules(network: MultiTaskNetwork) -> list[nn.Module]:
    """Return the modules that do not depend on the tasks: encoder, or its unconditioned blocks, and decoder."""
    encoder = network.encoder
    if not _is_conditioned(encoder):
        return [encoder, network.decoder]
    blocks: Any = encoder.blocks
    return [*(block for block in blocks if not _is_conditioned(block)), network.decoder]


class _CompiledForward:
    """Forward method of a module, compiled for calls with gradients.

    The number of samples stays dynamic; all other sizes are fixed at the first call.
    """

    def __init__(self, forward: Callable[..., Any], backend: str | Callable[..., Any]) -> None:
        self._uncompiled = forward
        self._compiled = torch.compile(forward, backend=backend)

    def __call__(self, maps: Tensor | list[Tensor], *arguments: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return self._uncompiled(maps, *arguments, **options)
        for tensor in _iterate_tensors(maps):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        return self._compiled(maps, *arguments, **options)


def _iterate_tensors(maps: Tensor | list[Tensor]) -> Iterator[Tensor]:
    yield from [maps] if isinstance(maps, Tensor) else maps


def _is_conditioned(module: nn.Module) -> bool:
    """Return True if a layer inside reads the task of each sample."""
    return any(isinstance(getattr(inner, "context", None), TaskContext) for inner in module.modules())
