"""Which task each sample of a batch is of, and weights that each task has of its own.

Layers deep in a network need the task, and the libraries' blocks pass images alone: they share a context, which the
network fills before it calls its encoder and empties behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Routed:
    """How the tokens of a batch were sent to a block's experts."""

    probabilities: Tensor
    """(N, T, E) float32: the router's softmax."""
    weights: Tensor
    """(N, T, k) float32, sums to 1 over k: what the chosen experts' outputs are weighted with."""
    chosen: Tensor
    """(N, T, k) int64: the chosen experts."""


@dataclass
class TaskContext:
    """The tasks of the present batch, and what its blocks did with them."""

    tasks: tuple[str, ...] = ()
    """Those that have samples."""
    places: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    """(N,) int64: each sample's place in `tasks`."""
    embedding: Tensor | None = None
    """(N, D): the embedding of each sample's task."""
    routed: dict[int, Routed] = field(default_factory=dict)
    """Block, from 0: how its tokens were sent to experts."""

    def begin(self, rows: Mapping[str, Tensor], samples: int) -> None:
        """Say of which task each of so many samples is."""
        self.tasks = tuple(task_id for task_id, places in rows.items() if len(places))
        self.routed = {}
        first = next(iter(rows.values()))
        self.places = torch.zeros(samples, dtype=torch.int64, device=first.device)
        for i, task_id in enumerate(self.tasks):
            self.places[rows[task_id]] = i

    def end(self) -> dict[int, Routed]:
        """Forget the batch, so that nothing holds its graph; gives how it was routed."""
        routed = self.routed
        self.tasks, self.embedding, self.routed = (), None, {}
        return routed


def module_name(task_id: str) -> str:
    """A task's id as a name that torch allows for a module or a parameter."""
    return task_id.replace("%", "%25").replace(".", "%2E")


class PerTask(nn.Module):
    """One tensor a task, all of one shape. A task without a sample in the batch is not touched, by no gradient."""

    def __init__(self, tasks: Sequence[str], context: TaskContext, initial: Callable[[str], Tensor]) -> None:
        super().__init__()
        self.context = context
        self.of = nn.ParameterDict(
            {f"task_{module_name(task_id)}": nn.Parameter(initial(task_id)) for task_id in tasks}
        )

    def forward(self) -> Tensor:
        """(N, ...): the tensor of each sample's task."""
        present = torch.stack([self.of[f"task_{module_name(task_id)}"] for task_id in self.context.tasks])
        return present[self.context.places]
