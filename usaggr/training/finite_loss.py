"""Check that ends a run whose training loss is not finite, because its weights could not be scored."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from usaggr.errors import RunError

INTERVAL = 50
"""Training steps between two checks on a GPU. Reading a loss waits for all work that is queued on the GPU."""


class LossGuard:
    """Checks the loss of each step: on a CPU at once, on a GPU every `INTERVAL` steps.

    Losses are kept with their steps until they are checked, so that the error names the first invalid step.

    Args:
        steps: Number of training steps of the run, for the error message.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._unchecked: list[tuple[Tensor, int, str]] = []

    def add(self, loss: Tensor, step: int, tasks: Iterable[str]) -> None:
        """Add the loss of a step.

        Args:
            loss: () training loss.
            step: Number of the step, from 1.
            tasks: Ids of the tasks that have samples in the batch, for the error message.

        Raises:
            RunError: This loss or an earlier one is not finite.
        """
        self._unchecked.append((loss.detach(), step, ", ".join(sorted(tasks))))
        if loss.device.type == "cpu" or len(self._unchecked) >= INTERVAL:
            self.check()

    def check(self) -> None:
        """Check all losses that are not checked yet.

        Raises:
            RunError: One of them is not finite.
        """
        if not self._unchecked:
            return
        values = torch.stack([loss for loss, _, _ in self._unchecked]).tolist()
        for value, (_, step, tasks) in zip(values, self._unchecked, strict=True):
            if not math.isfinite(value):
                raise RunError(
                    f"the training loss is {value} at step {step} of {self._steps} (tasks in the batch: {tasks}); "
                    "a lower training.learning_rate or training.gradient_clip may help"
                )
        self._unchecked.clear()
