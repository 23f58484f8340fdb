"""Sizes of a network's weights in bytes, as `weights/` of a run contains them. The module does not import torch."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class WeightSizes:
    """Sizes of the weights of one network that may be built for several blocks of tasks."""

    shared: int
    """Bytes of the layers that all tasks use."""
    by_task: dict[str, int]
    """Bytes of the layers that serve one task only, by its id."""

    def sum_for(self, tasks: Iterable[str]) -> int:
        """Return the bytes of the network of a block of tasks.

        Raises:
            KeyError: The sizes are not of all of these tasks.
        """
        return self.shared + sum(self.by_task[task_id] for task_id in tasks)
