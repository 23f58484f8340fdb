"""Ends a run whose training loss is not finite: nothing that is trained on could be scored."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from usaggr.errors import RunError

EVERY = 50
"""Steps between two looks where looking means waiting: on a GPU, whose work is asked for ahead of time."""


class LossGuard:
    """Looks at each step's loss, on a CPU at once, elsewhere some steps later; it names the step all the same."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._unseen: list[tuple[Tensor, int, str]] = []

    def add(self, training_loss: Tensor, step: int, tasks: Iterable[str]) -> None:
        """Take the loss () of a step, counted from 1, of a batch with samples of these tasks.

        Raises:
            RunError: it, or one before it, is not finite.
        """
        self._unseen.append((training_loss.detach(), step, ", ".join(sorted(tasks))))
        if training_loss.device.type == "cpu" or len(self._unseen) >= EVERY:
            self.look()

    def look(self) -> None:
        """Look at all losses that were not looked at yet.

        Raises:
            RunError: one of them is not finite.
        """
        if not self._unseen:
            return
        values = torch.stack([loss for loss, _, _ in self._unseen]).tolist()
        for value, (_, step, tasks) in zip(values, self._unseen, strict=True):
            if not math.isfinite(value):
                raise RunError(
                    f"the training loss is {value} at step {step} of {self._steps} (tasks in the batch: {tasks}); "
                    "a lower training.learning_rate or training.gradient_clip may help"
                )
        self._unseen.clear()
