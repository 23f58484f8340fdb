"""How a network is laid out for its device: channels last, and dense parts compiled. No number changes but by rounding.

The parts of a network that know each sample's task are never compiled: which tasks a batch holds changes from step to
step, and each combination would be a graph of its own.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from usaggr.config.study import TrainingConfig
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import TaskContext


def lay_out(network: MultiTaskNetwork, device: torch.device, training: TrainingConfig) -> None:
    """Prepare a network that is to be trained on a device; parameters stay the same objects."""
    if wants_channels_last(network, device, training):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if training.compile:
        compile_dense_parts(network)


def wants_channels_last(network: nn.Module, device: torch.device, training: TrainingConfig) -> bool:
    """Whether convolutions are to run with channels last.

    By `auto` on a GPU in mixed precision, where tensor cores read them so, unless there are group norms, for which
    torch goes back to channels first each time.
    """
    if training.channels_last != "auto":
        return training.channels_last
    grouped = any(isinstance(module, nn.GroupNorm) for module in network.modules())
    return device.type == "cuda" and training.precision != "32-true" and not grouped


def compile_dense_parts(network: MultiTaskNetwork, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile what all tasks share, for training; without gradients it runs as it is: its graphs would not pay.

    What was compiled for earlier runs of the process is forgotten, since torch counts graphs by source code and gives
    up compiling at its limit; the compiler's own cache on disk still knows them.
    """
    torch._dynamo.reset()
    for part in dense_parts(network):
        part.forward = _Compiled(part.forward, backend)


def release(network: nn.Module) -> None:
    """Undo compilation."""
    for module in network.modules():
        if isinstance(module.forward, _Compiled):
            del module.forward


def dense_parts(network: MultiTaskNetwork) -> list[nn.Module]:
    """Encoder and decoder, or those blocks of the encoder that do not know the tasks, and the decoder."""
    encoder = network.encoder
    if not _knows_tasks(encoder):
        return [encoder, network.decoder]
    blocks: Any = encoder.blocks
    return [*(block for block in blocks if not _knows_tasks(block)), network.decoder]


class _Compiled:
    """A part's forward, compiled where gradients are kept. The number of samples is left open, all else is fixed."""

    def __init__(self, forward: Callable[..., Any], backend: str | Callable[..., Any]) -> None:
        self._plain = forward
        self._compiled = torch.compile(forward, backend=backend)

    def __call__(self, maps: Tensor | list[Tensor], *arguments: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return self._plain(maps, *arguments, **options)
        for tensor in _tensors(maps):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        return self._compiled(maps, *arguments, **options)


def _tensors(maps: Tensor | list[Tensor]) -> Iterator[Tensor]:
    yield from [maps] if isinstance(maps, Tensor) else maps


def _knows_tasks(module: nn.Module) -> bool:
    return any(isinstance(getattr(inner, "context", None), TaskContext) for inner in module.modules())
