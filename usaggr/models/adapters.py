"""Task-specific adapters of a transformer block's MLP, as an alternative to experts: LoRA or FiLM.

Both start as the identity, so that the network first computes what it did before. Each sample uses the adapter of its
own task, in training too; the adapter libraries cannot mix adapters within a training batch.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from usaggr.models.per_task import PerTask, TaskContext

MakeGenerator = Callable[[str, str], torch.Generator]
"""Function from a layer's name and a task id to the generator of the task's initial weights in that layer."""


class LoraLinear(nn.Module):
    """Linear layer with a low-rank update per task: x W + b + (x A) B, tokens (N, T, C) to (N, T, D).

    Hu et al., LoRA, ICLR 2022, with alpha = rank; B starts at 0.

    Args:
        linear: Layer to extend.
        rank: Columns of A and rows of B.
        tasks: Ids of the tasks.
        context: Context of the network; tells the task of each sample.
        make_generator: Returns the generator for A of a task, given its id.
    """

    def __init__(
        self,
        linear: nn.Linear,
        rank: int,
        tasks: Sequence[str],
        context: TaskContext,
        make_generator: Callable[[str], torch.Generator],
    ) -> None:
        super().__init__()
        self.linear = linear
        bound = 1 / math.sqrt(linear.in_features)

        def make_down(task_id: str) -> Tensor:
            return torch.empty(linear.in_features, rank).uniform_(-bound, bound, generator=make_generator(task_id))

        self.down = PerTask(tasks, context, make_down)
        self.up = PerTask(tasks, context, lambda task_id: torch.zeros(rank, linear.out_features))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the layer's output, with the update of each sample's task."""
        down: Tensor = self.down()
        up: Tensor = self.up()
        outputs: Tensor = self.linear(tokens)
        return outputs + tokens @ down @ up


class FilmMlp(nn.Module):
    """MLP whose output channels are scaled and shifted per task: (1 + scale) y + shift, (N, T, C) to (N, T, C).

    Perez et al., FiLM, AAAI 2018; scale and shift start at 0.

    Args:
        mlp: MLP to extend.
        channels: C, the channels of its output.
        tasks: Ids of the tasks.
        context: Context of the network; tells the task of each sample.
    """

    def __init__(self, mlp: nn.Module, channels: int, tasks: Sequence[str], context: TaskContext) -> None:
        super().__init__()
        self.mlp = mlp
        self.scale = PerTask(tasks, context, lambda task_id: torch.zeros(channels))
        self.shift = PerTask(tasks, context, lambda task_id: torch.zeros(channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the MLP's output, scaled and shifted for each sample's task."""
        outputs: Tensor = self.mlp(tokens)
        scale: Tensor = self.scale()
        shift: Tensor = self.shift()
        return outputs * (1 + scale[:, None]) + shift[:, None]


def add_lora(
    mlp: nn.Module, rank: int, tasks: Sequence[str], context: TaskContext, make_generator: MakeGenerator
) -> nn.Module:
    """Replace each linear layer of an MLP, in place, by one with a low-rank update per task.

    Args:
        mlp: MLP to change.
        rank: Rank of the updates.
        tasks: Ids of the tasks.
        context: Context of the network.
        make_generator: Returns the generator of initial weights, given the layer's name and the task id.
    """
    for name, child in list(mlp.named_children()):
        if isinstance(child, nn.Linear):
            setattr(mlp, name, LoraLinear(child, rank, tasks, context, partial(make_generator, name)))
    return mlp
