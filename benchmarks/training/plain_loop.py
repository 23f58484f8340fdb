"""The limit that a run is compared with: a plain loop over one batch in memory."""

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
        self._step()  # not timed: the run that had its turn left the processor's caches cold
        began = now()
        for _ in range(self._steps):
            self._step()
        self.seconds.append((now() - began) / self._steps)
