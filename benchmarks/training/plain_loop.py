"""A plain loop over one batch in memory: the limit of a run's speed."""

from benchmarks.training.real_run import now
from benchmarks.training.training_step import TrainingStep


class LoopTurn:
    """Training steps on one batch that stays in memory.

    Args:
        step: The training step, with its batch.
        steps: Steps in a block.
    """

    def __init__(self, step: TrainingStep, steps: int) -> None:
        self.seconds: list[float] = []
        """Mean seconds of a step, one entry per block."""
        self._step = step
        self._steps = steps

    def __call__(self) -> None:
        self._step()  # not timed: the run before has replaced the content of the processor's caches
        began = now()
        for _ in range(self._steps):
            self._step()
        self.seconds.append((now() - began) / self._steps)
