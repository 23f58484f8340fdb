"""Weights of single tasks, and the context that tells layers which task each sample belongs to.

The encoder's blocks come from libraries and pass tokens only. Layers deep inside them share one `TaskContext` instead,
which the network activates around each call of its encoder.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class BlockRouting:
    """Routing of a batch's tokens to the experts of one transformer block.

    Shapes: N samples, T tokens per sample, E experts, of which k serve each token.
    """

    probabilities: Tensor
    """(N, T, E) float32: softmax of the router."""
    weights: Tensor
    """(N, T, k) float32: weights of the chosen experts' outputs; they sum to 1 over k."""
    chosen: Tensor
    """(N, T, k) int64: indices of the chosen experts."""


@dataclass
class TaskContext:
    """Tasks of the batch that the encoder processes, and the routing that its experts record.

    Only active inside `with context.activate(...)`; outside it holds no tensor of a graph.
    """

    tasks: tuple[str, ...] = ()
    """Ids of the tasks that have samples in the batch."""
    sample_tasks: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    """(N,) int64: index into `tasks` for each sample."""
    embedding: Tensor | None = None
    """(N, D): embedding of each sample's task; None if no router reads it."""
    _routing: dict[int, BlockRouting] = field(default_factory=dict)

    @contextmanager
    def activate(self, tasks: tuple[str, ...], sample_tasks: Tensor) -> Iterator[dict[int, BlockRouting]]:
        """Set the tasks of a batch while the encoder runs.

        Args:
            tasks: Ids of the tasks that have samples in the batch.
            sample_tasks: (N,) int64: index into `tasks` for each sample.

        Yields:
            Routing by block index (from 0). The experts fill it while the encoder runs; it belongs to the caller.
        """
        routing: dict[int, BlockRouting] = {}
        self.tasks, self.sample_tasks, self._routing = tasks, sample_tasks, routing
        try:
            yield routing
        finally:
            # A tensor left here would keep the graph of the batch in memory until the next batch.
            self.tasks, self.embedding, self._routing = (), None, {}

    def record_routing(self, block: int, routing: BlockRouting) -> None:
        """Add the routing of a block (index from 0) to what `activate` gave its caller."""
        self._routing[block] = routing


def assign_tasks(batch_indices: Mapping[str, Tensor], batch_size: int) -> tuple[tuple[str, ...], Tensor]:
    """Return the tasks that have samples in a batch, and the index among them of each sample's task.

    Args:
        batch_indices: Task id: indices of its samples in the batch, (n,) int64.
        batch_size: N, the number of samples in the batch.

    Returns:
        The ids, and a tensor (N,) int64 of indices into them.
    """
    tasks = tuple(task_id for task_id, indices in batch_indices.items() if len(indices))
    device = next(iter(batch_indices.values())).device
    sample_tasks = torch.zeros(batch_size, dtype=torch.int64, device=device)
    for i, task_id in enumerate(tasks):
        sample_tasks[batch_indices[task_id]] = i
    return tasks, sample_tasks


def make_module_name(task_id: str) -> str:
    """Return a task's id as a name that torch allows for a module or parameter, which may not contain a dot."""
    return task_id.replace("%", "%25").replace(".", "%2E")


class PerTask(nn.Module):
    """One trained tensor per task, all of one shape.

    A task without samples in the batch gets no gradient, not even zeros: with zeros, AdamW would still move its tensor.

    Args:
        tasks: Ids of the tasks.
        context: Context of the network; tells which task each sample of the batch belongs to.
        make_initial: Returns the initial tensor of a task, given its id.
    """

    def __init__(self, tasks: Sequence[str], context: TaskContext, make_initial: Callable[[str], Tensor]) -> None:
        super().__init__()
        self.context = context
        # The name `of` is part of the keys of stored weights and must stay.
        self.of = nn.ParameterDict(
            {f"task_{make_module_name(task_id)}": nn.Parameter(make_initial(task_id)) for task_id in tasks}
        )

    def get_tensor(self, task_id: str) -> nn.Parameter:
        """Return the tensor of a task."""
        parameter = self.of[f"task_{make_module_name(task_id)}"]
        assert isinstance(parameter, nn.Parameter)
        return parameter

    def forward(self) -> Tensor:
        """Return the tensor of each sample's task, (N, ...)."""
        tensors = torch.stack([self.get_tensor(task_id) for task_id in self.context.tasks])
        return tensors[self.context.sample_tasks]
