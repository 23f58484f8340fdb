"""What a task may have of its own in a block's MLP beside experts: low-rank adapters, or a scale and a shift.

Both start as nothing, so that the network computes at first what it did before. They are routed by sample, in training
too, which the adapter libraries are not.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from usaggr.models.per_task import PerTask, TaskContext

Drawn = Callable[[str, str], torch.Generator]
"""Layer's name and task id to the generator that the task's weights there are drawn from."""


class LoraLinear(nn.Module):
    """A linear layer with a low-rank update a task: x W + b + (x A) B, tokens (N, T, C) to (N, T, D).

    Hu et al., LoRA, ICLR 2022, with alpha = rank; B starts at 0.
    """

    def __init__(
        self,
        linear: nn.Linear,
        rank: int,
        tasks: Sequence[str],
        context: TaskContext,
        drawn: Callable[[str], torch.Generator],
    ) -> None:
        super().__init__()
        self.linear = linear
        bound = 1 / math.sqrt(linear.in_features)

        def down(task_id: str) -> Tensor:
            return torch.empty(linear.in_features, rank).uniform_(-bound, bound, generator=drawn(task_id))

        self.down = PerTask(tasks, context, down)
        self.up = PerTask(tasks, context, lambda task_id: torch.zeros(rank, linear.out_features))

    def forward(self, tokens: Tensor) -> Tensor:
        """The layer's output, with each sample's own task's update."""
        down: Tensor = self.down()
        up: Tensor = self.up()
        outputs: Tensor = self.linear(tokens)
        return outputs + tokens @ down @ up


class FilmMlp(nn.Module):
    """An MLP whose outputs each task scales and shifts by channel; tokens (N, T, C) to (N, T, C).

    Perez et al., FiLM, AAAI 2018: (1 + scale) y + shift, both 0 at first.
    """

    def __init__(self, mlp: nn.Module, channels: int, tasks: Sequence[str], context: TaskContext) -> None:
        super().__init__()
        self.mlp = mlp
        self.scale = PerTask(tasks, context, lambda task_id: torch.zeros(channels))
        self.shift = PerTask(tasks, context, lambda task_id: torch.zeros(channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """The MLP's output, scaled and shifted for each sample's own task."""
        outputs: Tensor = self.mlp(tokens)
        scale: Tensor = self.scale()
        shift: Tensor = self.shift()
        return outputs * (1 + scale[:, None]) + shift[:, None]


def adapt_linears(mlp: nn.Module, rank: int, tasks: Sequence[str], context: TaskContext, drawn: Drawn) -> nn.Module:
    """Give each linear layer of an MLP an adapter a task, in place."""
    for name, child in list(mlp.named_children()):
        if isinstance(child, nn.Linear):
            setattr(mlp, name, LoraLinear(child, rank, tasks, context, partial(drawn, name)))
    return mlp
